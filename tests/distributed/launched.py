"""`m3ic train` as a user starts it, in a process of its own, and what becomes of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from m3i_dsl import driver
from m3i_dsl.runtime.checkpoints.folder import published
from m3i_dsl.source import read_file

RECIPE = """\
m3i 1
recipe small
data digits = embedded("digits")
view view1 of digits.image = crop(16px)
encoder image = timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 16, depth: 1, heads: 2)
objective mim {
  input masked view1 by random(50%)
  represent dense feature of image
  target pixels {
    data view1
    representation dense pixels
    predictor decoder(layers: 1, heads: 2)
    regularization none
    distribution gaussian
  }
}
train {
  batch BATCH
  LENGTH
  optimizer adamw(lr: 1e-3)
}
"""

SECONDS = 120.0
"""After which a run that goes on is a failure: what these tests do takes some seconds."""


def small(*, batch: int, length: str) -> str:
    """The text of a recipe that trains in a moment; `length` is `steps 8` or the like."""
    return RECIPE.replace("BATCH", str(batch)).replace("LENGTH", length)


def artifact(folder: Path, steps: int) -> None:
    """Compiles the recipe into `folder`/target/small."""
    recipe = folder / "small.m3i"
    recipe.write_text(small(batch=8, length=f"steps {steps}"))
    checked = driver.check_file(read_file(recipe))
    compiled = driver.compile_program(checked.required(), folder)
    driver.write_artifact(folder / "target" / "small", compiled, checked, {})


ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def free_port(among: range = range(20000, 32000)) -> str:
    """One that nobody listens at now, below those that the kernel gives away."""
    for port in random.sample(among, 100):
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return str(port)
    raise AssertionError("no port is free")


class Run:
    """A run in `folder`/NAME, in the process that a user would have started.

    `through` are words between Python and the module: those of another launcher. `variables` are added to the
    environment. `label` tells processes of one run apart that were started one by one. `command` is in place of all.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *flags: str,
        through: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        label: str = "",
        command: Sequence[str] = (),
    ) -> None:
        self.path = folder / name
        usual = [sys.executable, *through, "-m", "m3i_dsl.train", "--", "target/small", "--device", "cpu"]
        self._told = folder / f"{name}{label}.err"
        with self._told.open("a", encoding="utf-8") as told:
            self._process = subprocess.Popen(
                command or [*usual, "--log-every", "1", "--run", name, "--log-to", "none", *flags],
                cwd=folder,
                env={**ENVIRONMENT, **(variables or {})},
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )

    def until_step(self, step: int) -> None:
        """Waits until `step` was recorded."""
        self.until(lambda: self.step() >= step)

    def checkpoints(self) -> list[str]:
        """Those that are published: a save goes on beside the steps after it."""
        return sorted(name for _, name in published(self.path / "checkpoints"))

    def until_saved(self) -> None:
        """Waits for a checkpoint to start from."""
        self.until(lambda: bool(self.checkpoints()))

    def step(self) -> int:
        """The last one of the record."""
        return max((line["step"] for line in self.record("step")), default=0)

    def record(self, event: str) -> list[dict[str, Any]]:
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in whole if line["event"] == event]

    def ranks(self, of: int | None = None) -> list[int]:
        """The processes that compute, oldest first; or the workers `of` one of them."""
        found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
        pairs = [tuple(map(int, line.split())) for line in found.splitlines()[1:]]
        return sorted(pid for pid, parent in pairs if parent == (of or self._process.pid))

    @property
    def process(self) -> int:
        return self._process.pid

    def until(self, what: Callable[[], bool]) -> None:
        """Waits until it is so, while it runs."""
        deadline = time.monotonic() + SECONDS
        while not what():
            assert self._process.poll() is None, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.01)

    def until_gone(self, processes: list[int]) -> None:
        """Waits until none of them is there: torchrun's agent ends the others of one that was killed."""
        deadline = time.monotonic() + SECONDS
        while any(process in self.ranks() or process == self._process.pid for process in processes):
            if self._process.poll() is not None:
                return
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """Exit code and standard output."""
        try:
            output, _ = self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            raise AssertionError(f"still running\n{self.told()}") from None
        return self._process.returncode, output

    def told(self) -> str:
        return self._told.read_text(encoding="utf-8")
