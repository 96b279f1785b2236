"""How long a step waits for a checkpoint that is written while training goes on.

Takes: a recipe, the size, the rounds. Gives: an `Outcome`. Guarantees: what is saved is what a run saves, by the run's
own store, on all ranks; the steps in the meantime are enough for the save to end among them, and as many are timed
without one, so that what a save costs besides waiting is seen as well.
"""

from __future__ import annotations

import math
import shutil
import statistics
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
from m3i_dsl.runtime.checkpoints.snapshot import Snapshot
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.agreement import by_first, gathered
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.run_folder import Identity

EVERY = 60.0
"""Seconds from one checkpoint to the next."""

LIMIT = 0.05
"""Of the time, for which steps wait."""

LONGER = 3
"""How many times as long as a save of its own the steps take that go on beside one."""

WAITING, SYNCHRONOUS, SLOWER = "steps wait", "synchronous save", "steps wait and are slower"


def stall(processes: Processes, name: str, size: Size, rounds: int) -> Outcome:
    """Asynchronous saves next to synchronous ones."""
    recipe = whole(name, size, processes)
    member = Member(recipe.executable, rows(recipe.batch), processes)
    step_seconds = [seconds(processes, member) for _ in range(3)][-1]  # moments are there after the first
    snapshot = Snapshot(member.module, member.optimizer, Identity(name, "", {}), processes.device, member.precision)
    found: dict[str, list[float]] = {WAITING: [], SYNCHRONOUS: [], SLOWER: []}
    with _folder(processes) as folder, CheckpointStore(folder, processes=processes) as store:
        saving = Saving(store, snapshot, member)
        first = seconds(processes, saving.whole)  # makes the host memory that later ones use again
        count = max(gathered(processes, math.ceil(LONGER * first / step_seconds)))
        for _ in range(rounds):
            found[SYNCHRONOUS].append(seconds(processes, saving.whole))
            undisturbed = seconds(processes, lambda: saving.steps(count))
            waited, beside = saving.beside(processes, count)
            found[WAITING].append(waited)
            found[SLOWER].append(beside - undisturbed)
        content = sum(path.stat().st_size for path in folder.glob(f"step-{saving.step:06d}/**/*") if path.is_file())
    times = slowest(processes, found)
    shares = {side: statistics.median(timed.seconds) / EVERY for side, timed in times.items()}
    target = Target(f"{name}: share of the time that steps wait, a checkpoint every {EVERY:g} s", LIMIT, "at most",
                    shares[WAITING], "median")  # fmt: skip
    extra = {side: {f"share at one every {EVERY:g} s": f"{share:.2%}"} for side, share in shares.items()}
    note = (
        f"A checkpoint of {content / 2**20:.0f} MiB, written beside {count} steps, which end after it; what they wait "
        "for is the copy to host memory and the agreement of the ranks. That they are slower, on a machine whose "
        "cores all train, is the work of writing and of hashes: the difference to as many steps without a save."
    )
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
