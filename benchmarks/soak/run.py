"""`m3ic train --nproc-per-node` as a user starts it, and what its folder says meanwhile."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.soak.memory import Memory
from benchmarks.soak.processes import MARK

ROOT = Path(__file__).parents[2]


SHARED = "64m"


@functools.cache
def own_memory() -> tuple[str, ...]:
    """What to start a program with so that it has a small /dev/shm of its own; nothing where that is not allowed."""
    words = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={SHARED} tmpfs /dev/shm && exec "$@"', "sh")
    try:
        done = subprocess.run([*words, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return words if done.returncode == 0 else ()


class Failure(Exception):
    """The soak has found something."""


class Run:
    """One run folder, `folder`/NAME, trained by one process after another. `mark` is that of all its processes."""

    def __init__(self, folder: Path, name: str, processes: int) -> None:
        self.path = folder / name
        self.mark = f"{os.getpid()}-{name}"
        self.memory = Memory(self.mark)
        self._folder, self._processes = folder, processes
        self._process: subprocess.Popen[str] | None = None
        self._tail = Tail(self.path / "metrics.jsonl")

    def start(self, *flags: str) -> None:
        """Starts it, or continues it if it is there."""
        words = ["target/soak", "--run", self.path.name, "--requeue", "--device", "cpu", "--log-to", "none"]
        # A signal waits for those that write; on a busy machine that takes more than half a minute at times.
        many = ["--nproc-per-node", str(self._processes), "--max-restarts", "1000", "--grace", "120"]
        environment = {**os.environ, MARK: self.mark, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with self.told.open("a", encoding="utf-8") as told:
            self._process = subprocess.Popen(
                [*own_memory(), sys.executable, "-m", "m3i_dsl.train", *words, *many, *flags],
                cwd=self._folder,
                env=environment,
                stdout=told,
                stderr=told,
                text=True,
            )

    def shared_memory(self) -> Path | None:
        """The /dev/shm of its processes, None where it is everybody's."""
        return Path("/proc", str(self.number), "root", "dev", "shm") if own_memory() and self.running else None

    @property
    def told(self) -> Path:
        """What all its processes have written."""
        return self._folder / f"{self.path.name}.log"

    @property
    def number(self) -> int:
        """The process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def step(self) -> int:
        """The last one of the record; it goes back when a run goes on from a checkpoint."""
        return self._tail.step()

    def wait(self, seconds: float, *, steps: int | None = None) -> bool:
        """Sees how it goes on for `seconds`, or until `steps` more were recorded. Returns whether they were."""
        deadline, first = time.monotonic() + seconds, self.step()
        while time.monotonic() < deadline and self.running:
            self.memory.sample()
            step = self.step()
            if steps is not None and step >= first + steps:
                return True
            first = min(first, step)
            time.sleep(0.05)
        return False

    def ended(self, seconds: float) -> int:
        """Its exit code. Raises Failure when it goes on for more than `seconds`."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            self.memory.sample()
            if time.monotonic() > deadline:
                raise Failure(f"{self.path.name} did not end within {seconds:g} s")
            time.sleep(0.05)
        return self._process.returncode

    def checkpoints(self) -> list[str]:
        """Names in the folder of checkpoints, oldest first."""
        folder = self.path / "checkpoints"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def saved(self) -> int:
        """The step of the newest checkpoint, or 0."""
        return max((int(n.removeprefix("step-")) for n in self.checkpoints() if n[5:].isdecimal()), default=0)

    def record(self) -> list[dict[str, Any]]:
        """Every whole line of `metrics.jsonl`."""
        text = (self.path / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Tail:
    """The last step in a file of records that grows, and is cut when a run goes on from a checkpoint."""

    LONGEST = 65536

    def __init__(self, path: Path) -> None:
        self._path = path

    def step(self) -> int:
        try:
            with self._path.open("rb") as opened:
                opened.seek(0, os.SEEK_END)
                opened.seek(max(0, opened.tell() - self.LONGEST))
                lines = opened.read().split(b"\n")[1 if opened.tell() > self.LONGEST else 0 : -1]
        except FileNotFoundError:
            return 0
        return max((json.loads(line)["step"] for line in lines[-1:]), default=0)
