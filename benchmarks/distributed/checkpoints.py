"""How long a step waits for a checkpoint that is written while training goes on.

Takes: a recipe, the size, the rounds. Gives: an `Outcome`. Guarantees: what is saved is what a run saves, by the run's
own store, on all ranks; the steps in the meantime are enough for the save to end among them, and as many are timed
without one, so that what a save costs besides waiting is seen as well.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.distributed.member import Member, rows
from benchmarks.distributed.steps import whole
from benchmarks.distributed.timing import seconds, settle, slowest
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.size import Size
from m3i_dsl.runtime.checkpoints.folder import name_of
from m3i_dsl.runtime.checkpoints.snapshot import Snapshot
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.agreement import by_first, gathered
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.run_folder import RunIdentity

EVERY = 60.0
"""Seconds from one checkpoint to the next."""

LIMIT = 5.0
"""Percent of the time, for which steps wait."""

LONGER = 3
"""How many times as long as a save of its own the steps take that go on beside one."""

WAITING, SYNCHRONOUS = "steps wait", "synchronous save"


def stall(processes: Processes, name: str, size: Size, rounds: int) -> Outcome:
    """Asynchronous saves next to synchronous ones."""
    recipe = whole(name, size, processes)
    member = Member(recipe.executable, rows(recipe.batch), processes)
    step_seconds = [seconds(processes, member) for _ in range(3)][-1]  # moments are there after the first
    snapshot = Snapshot(member.module, member.optimizer, RunIdentity(name, "", {}), processes.device, member.precision)
    with _folder(processes) as folder, CheckpointStore(folder, processes=processes) as store:
        saving = Saving(store, snapshot, member)
        first = seconds(processes, saving.whole)  # makes the host memory that later ones use again
        count = max(gathered(processes, math.ceil(LONGER * first / step_seconds)))
        beside, without = f"{count} steps beside a save", f"{count} steps without"
        found: dict[str, list[float]] = {WAITING: [], SYNCHRONOUS: [], beside: [], without: []}
        for _ in range(rounds):
            found[SYNCHRONOUS].append(seconds(processes, saving.whole))
            found[without].append(seconds(processes, lambda: saving.steps(count)))
            waited, taken = saving.beside(processes, count)
            found[WAITING].append(waited)
            found[beside].append(taken)
        content = sum(path.stat().st_size for path in (folder / name_of(saving.step)).iterdir())
    times = slowest(processes, found)
    percent = {side: 100 * times[side].median / EVERY for side in (WAITING, SYNCHRONOUS)}
    slower = times[beside].minimum - times[without].minimum
    target = Target(
        f"{name}: percent of the time that steps wait for checkpoints, one every {EVERY:g} s",
        LIMIT,
        "at most",
        percent[WAITING],
        "median",
    )
    note = (
        f"A checkpoint of {content / 2**20:.0f} MiB. What steps wait for is the copy to host memory and the agreement "
        f"of the ranks. {count} steps take {slower:.2f} s longer beside a save than without (least times), "
        f"{100 * slower / EVERY:.1f}% of the time: where all cores train, writing and its hashes take them from steps."
    )
    extra = {side: {f"% of the time at one every {EVERY:g} s": f"{share:.2f}"} for side, share in percent.items()}
    return Outcome(f"checkpoint, {name}", WAITING, times, extra, (target,), (note,))


class Saving:
    """Checkpoints of one member; `step` is the last that was saved."""

    def __init__(self, store: CheckpointStore, snapshot: Snapshot, member: Member) -> None:
        self._store, self._snapshot, self._member = store, snapshot, member
        self.step = 0

    def whole(self) -> None:
        """A save that is waited for."""
        self._begin()
        self._store.wait()

    def steps(self, count: int) -> float:
        """As many steps, with the look at the store that follows each; returns the seconds of those looks."""
        waited = 0.0
        for _ in range(count):
            self._member()
            begun = time.perf_counter()
            self._store.poll()
            waited += time.perf_counter() - begun
        return waited

    def beside(self, processes: Processes, count: int) -> tuple[float, float]:
        """Seconds that steps wait for a save, and of all of them with it."""
        settle(processes)
        begun = time.perf_counter()
        self._begin()
        waited = time.perf_counter() - begun
        waited += self.steps(count)
        settle(processes)
        ended = time.perf_counter()
        self._store.wait()  # for nothing, if there were steps enough; if not, it is counted
        left = time.perf_counter() - ended
        return waited + left, time.perf_counter() - begun

    def _begin(self) -> None:
        self.step += 1
        self._member.guard.poll()
        self._store.save(self.step, self._snapshot.files(self.step, metrics_bytes=0, evaluations_due=False))


@contextmanager
def _folder(processes: Processes) -> Generator[Path]:
    """A folder that is the same for all ranks, and gone afterwards."""
    path = Path(by_first(processes, lambda: tempfile.mkdtemp(prefix="m3ic-checkpoints-")))
    try:
        yield path
    finally:
        settle(processes)
        if processes.first:
            shutil.rmtree(path)
