"""What happens to the training, and what must come of it.

Takes: a run, a seeded source of chance. Gives: one disturbance after another until the time is over. Guarantees: which
one comes and after how many steps is a function of the seed; each is a real signal to a real process; what a
disturbance may lead to is stated here, and anything else is a failure.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from benchmarks.soak import processes
from benchmarks.soak.data import FAULTS, Damage
from benchmarks.soak.run import Failure, Run

LEAVING = 60.0
"""Seconds in which all processes of a run must be gone after the one that a user started is."""

ENDING = 240.0
"""Seconds in which a run must end after a signal: saving waits for the disk, and the machine may be busy."""

RETURNING = 300.0
"""Seconds in which training must go on after whatever has happened."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of them. `strike` returns whether there was something to strike at this moment.

    `codes`: exit codes that may come of it; None when the run must go on by itself.
    """

    name: str
    strike: Callable[[Run, random.Random], bool]
    codes: frozenset[int] | None


def _rank(run: Run, chance: random.Random) -> bool:
    found = processes.ranks(run.mark)
    if not found:
        return False
    processes.kill([chance.choice(found)])
    return True


def _worker(run: Run, chance: random.Random) -> bool:
    found = processes.workers(run.mark)
    if not found:
        return False
    processes.kill([chance.choice(found)])
    return True


def _launcher(run: Run, _: random.Random) -> bool:
    run.send(signal.SIGKILL)
    return True


def _everything(run: Run, _: random.Random) -> bool:
    processes.kill(processes.marked(run.mark))
    return True


def _signal(number: signal.Signals) -> Callable[[Run, random.Random], bool]:
    def strike(run: Run, _: random.Random) -> bool:
        # Before it has started processes it is a Python that imports: any signal ends that, with any code.
        if not processes.ranks(run.mark):
            return False
        run.send(number)
        return True

    return strike


KINDS = (
    (4, Kind("SIGKILL of a rank", _rank, None)),
    (2, Kind("SIGKILL of the launcher", _launcher, frozenset({-signal.SIGKILL}))),
    (1, Kind("SIGKILL of everything", _everything, frozenset({-signal.SIGKILL}))),
    (1, Kind("SIGKILL of a data worker", _worker, frozenset({1}))),
    (2, Kind("SIGTERM", _signal(signal.SIGTERM), frozenset({75}))),
    (1, Kind("SIGUSR1", _signal(signal.SIGUSR1), frozenset({75}))),
    (1, Kind("SIGINT", _signal(signal.SIGINT), frozenset({130}))),
)
"""How often each comes, relative to the others."""


BEFORE, MEANWHILE, FULL = "before it goes on", "while it trains", "a full /dev/shm"

DATA = (
    *((1, f"{name} {when}") for name in FAULTS for when in (BEFORE, MEANWHILE)),
    (1, FULL),
)
"""As KINDS, of what happens to the data; what must come of it is in `Soak`."""

STALE = "M3I0605"

WITH_IT = 20
"""Steps that it may train with data that is damaged."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One disturbance, at `step` and `moment` (seconds since 1970)."""

    kind: str
    step: int
    moment: float


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one disturbance: steps that were computed again, and seconds until training went on."""

    steps: int
    seconds: float


@dataclass(slots=True)
class Soak:
    """Disturbs `run` until `minutes` are over, then lets it train `CALM` steps and stops it."""

    run: Run
    chance: random.Random
    every: int
    damage: Damage
    happened: list[Happened] = field(default_factory=list[Happened])
    failures: list[str] = field(default_factory=list[str])

    CALM = 60

    def until(self, seconds: float) -> None:
        """Raises Failure when it cannot go on."""
        deadline = time.monotonic() + seconds
        self._start()
        while time.monotonic() < deadline:
            self._undisturbed()
            self._disturb()
        if not self.run.running:
            self._start()
        if not self.run.wait(RETURNING, steps=self.CALM):
            raise Failure("it does not go on after the last disturbance")
        self.run.send(signal.SIGTERM)
        self._ends(frozenset({75}), "SIGTERM at the end")

    def _start(self) -> None:
        workers = self.chance.choice((0, 0, 1, 2))
        self.run.start("--checkpoint-every", f"{self.every} steps", "--workers", str(workers))

    def _undisturbed(self) -> None:
        """Mostly some steps; sometimes some seconds, whatever it does in them: start, meet the others, or read."""
        if self.chance.random() < 0.7:
            steps = round(10 ** self.chance.uniform(1, 2.5))
            if not self.run.wait(RETURNING, steps=steps) and self.run.running:
                raise Failure(f"no {steps} steps in {RETURNING:g} s, from step {self.run.step()}")
        else:
            self.run.wait(self.chance.uniform(0, 12))

    def _disturb(self) -> None:
        weights, kinds = zip(*KINDS, *DATA, strict=True)
        kind = self.chance.choices(kinds, weights)[0]
        if not self.run.running:
            raise Failure(f"the run has ended by itself with {self.run.ended(0)}")
        if isinstance(kind, str):
            self._data(kind)
            return
        happened = Happened(kind.name, self.run.step(), time.time())
        if not kind.strike(self.run, self.chance):
            return
        self.happened.append(happened)
        if kind.codes is not None:
            self._ends(kind.codes, f"{kind.name} at step {happened.step}")
            self._start()

    # --- data ---------------------------------------------------------------------------------------------------------

    def _data(self, kind: str) -> None:
        shared = self.run.shared_memory()
        possible = shared is not None if kind == FULL else bool(self.run.saved())
        if not possible or not processes.ranks(self.run.mark):
            return
        happened = Happened(kind, self.run.step(), time.time())
        self.happened.append(happened)
        told = self.run.told.stat().st_size
        if kind == FULL and shared is not None:
            self._shared_memory(shared)
        else:
            when = BEFORE if kind.endswith(BEFORE) else MEANWHILE
            self._damaged(kind.removesuffix(f" {when}"), when, kind)
        said = self._said(told)
        for word in ("Traceback", "error[M3I09"):
            if word in said:
                self.failures.append(f"{kind} at step {happened.step}: {word} is said")

    def _damaged(self, fault: str, when: str, why: str) -> None:
        """It says so and goes on without what is broken, or ends with a coded error; then the data is mended, and
        training goes back to where it had not read any of it."""
        if when == BEFORE:
            self.run.send(signal.SIGTERM)
            self._ends(frozenset({75}), why)
        saved = self.run.saved()
        kept, folder = self.run.path / "kept", self.run.path / "checkpoints"
        shutil.copytree(folder / f"step-{saved:06d}", kept)
        told = self.run.told.stat().st_size
        FAULTS[fault](self.damage, self.chance)
        if when == BEFORE:
            self._start()
        self.run.wait(RETURNING, steps=WITH_IT)
        if not self.run.running:
            self._ends(frozenset({1}), why)
        elif when == BEFORE and STALE not in self._said(told):
            self.failures.append(f"{why}: trains on with other data without a word")
        processes.kill(processes.marked(self.run.mark))
        self.run.ended(ENDING)
        self.damage.mended()
        for name in self.run.checkpoints():
            if name.startswith("step-"):
                shutil.rmtree(folder / name)
        kept.rename(folder / f"step-{saved:06d}")
        self._start()

    def _said(self, told: int) -> str:
        with self.run.told.open("rb") as log:
            log.seek(told)
            return log.read().decode(errors="replace")

    def _shared_memory(self, shared: Path) -> None:
        """It goes on with what it has, or ends with a coded error, and goes on when there is room again."""
        filler = shared / "full"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 12)):
                pass
        self.run.wait(RETURNING, steps=WITH_IT)
        filler.unlink(missing_ok=True)
        if not self.run.running:
            self._ends(frozenset({1}), FULL)
            self._start()

    def costs(self) -> list[tuple[Happened, Cost | None]]:
        """None for one that the next one came upon before training had gone on."""
        starts = [(line["time"], line["step"]) for line in self.run.record() if line["event"] == "start"]
        found: list[tuple[Happened, Cost | None]] = []
        for one, following in zip_longest(self.happened, self.happened[1:]):
            until = float("inf") if following is None else following.moment
            after = [start for start in starts if one.moment < start[0] < until]
            cost = Cost(max(0, one.step - after[0][1]), after[0][0] - one.moment) if after else None
            found.append((one, cost))
        return found

    def _ends(self, codes: frozenset[int], why: str) -> None:
        code = self.run.ended(ENDING)
        if code not in codes:
            self.failures.append(f"{why}: exit code {code}, not {' or '.join(map(str, sorted(codes)))}")
        if left := processes.until_gone(self.run.mark, LEAVING):
            self.failures.append(f"{why}: {len(left)} processes were left behind after {LEAVING:g} s")
            processes.kill(left)
            processes.until_gone(self.run.mark, 10)
        if litter := [name for name in self.run.checkpoints() if name.endswith(".damaged")]:
            self.failures.append(f"{why}: {', '.join(litter)} in the folder of checkpoints")
