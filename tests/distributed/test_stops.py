"""What ends a training on two processes from outside, or on one of them: it is saved, told once, and can go on."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from pathlib import Path

import pytest

from tests.distributed.launched import ROOT, Run, artifact
from tests.distributed.processes import ONE_WORKER

pytestmark = ONE_WORKER

STEPS = 2000
"""More than are trained before what the tests do."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stopped")
    artifact(path, STEPS)
    return path


def test_processes_without_their_launcher_save_and_stop_and_the_run_is_free(folder: Path) -> None:
    first = Run(folder, "orphans", "--nproc-per-node", "2", "--requeue")
    first.until_step(3)
    ranks = first.ranks()
    assert len(ranks) == 2

    intruder = Run(folder, "orphans", "--resume", label="-intruder")
    assert intruder.ended() == (1, "")
    assert "error[M3I0705]" in intruder.told() and "Traceback" not in intruder.told()

    os.kill(first.process, signal.SIGKILL)
    assert first.ended()[0] == -signal.SIGKILL
    until_gone(ranks)
    assert "stopped by SIGTERM after step" in first.told()
    reached = int(first.checkpoints()[-1].removeprefix("step-"))
    assert reached == first.step() >= 3

    # The very same command continues it.
    again = Run(folder, "orphans", "--nproc-per-node", "2", "--requeue", "--max-steps", str(reached + 2))
    assert again.ended() == (0, "orphans\n"), again.told()
    assert again.record("start")[-1]["step"] == reached and again.step() == reached + 2


def until_gone(processes: list[int]) -> None:
    """They are nobody's children any more: only the kernel knows."""
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < deadline, "processes train on without their launcher"
        time.sleep(0.02)


INDUCTOR = """\
import time
import torch._inductor.compile_fx as inductor

def compile_fx(module, inputs, *rest, **settings):
    time.sleep(1)
    return module.forward

inductor.compile_fx = compile_fx
"""
"""Takes its time as the real one does, which a compiler of C++ would spend processor time on."""

LACK = """\
import torch
from m3i_dsl.runtime.step import TrainingStep

plain = TrainingStep.__call__

def call(self, step, batch):
    if step == 3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return plain(self, step, batch)

TrainingStep.__call__ = call
"""
"""What an accelerator says is said by hand; all that follows is as it would be."""


def injected(folder: Path, name: str, code: str, rank: str) -> dict[str, str]:
    """The environment in which Python runs `code` when it starts, on one rank or any."""
    place = folder / name
    place.mkdir()
    body = textwrap.indent(code, "    ")
    (place / "sitecustomize.py").write_text(f"import os\nif os.environ.get('RANK', '') in {rank!r}.split():\n{body}")
    return {"PYTHONPATH": os.pathsep.join((str(place), str(ROOT)))}


def test_a_signal_while_blocks_are_compiled_saves_the_first_steps(folder: Path) -> None:
    slow = injected(folder, "slow", INDUCTOR, "0 1")
    run = Run(folder, "compiling", "--nproc-per-node", "2", "--compile", "on", "--grace", "100", variables=slow)
    run.until(lambda: "compiling 2 transformer blocks" in run.told())
    time.sleep(0.5)  # until both listen: a signal before that ends them at once, for nothing was computed
    assert run.step() == 0
    run.send(signal.SIGUSR1)
    assert run.ended() == (75, "compiling\n"), run.told()
    assert "stopped by SIGUSR1 after step" in run.told()
    # Ranks ask each other when a step begins: those that had asked compute one more.
    assert run.checkpoints() in (["step-000001"], ["step-000002"])


def test_memory_that_one_rank_lacks_is_a_fault_of_the_run_that_names_the_setting(folder: Path) -> None:
    run = Run(folder, "full", "--nproc-per-node", "2", variables=injected(folder, "lack", LACK, "1"))
    assert run.ended() == (1, ""), run.told()
    told = run.told()
    assert told.count("error[M3I0714]: step 4 does not fit the memory") == 1, told
    assert "Tried to allocate 2.00 GiB" in told and "`--accumulate 2`" in told and "`batch`" in told
    assert "restarted" not in told and "Traceback" not in told


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_worker_of_one_rank_ends_the_run_with_one_message(folder: Path, rank: int) -> None:
    run = Run(folder, f"worker-{rank}", "--nproc-per-node", "2", "--workers", "1")
    run.until_step(3)
    (worker,) = run.ranks(of=run.ranks()[rank])
    os.kill(worker, signal.SIGKILL)
    assert run.ended() == (1, ""), run.told()
    assert run.told().count("error[") == 1 and "error[M3I0522]" in run.told(), run.told()
    assert f"process {worker}: killed by SIGKILL" in run.told() and "Traceback" not in run.told()
    assert "restarted" not in run.told() and "go on with `m3ic train --resume" in run.told()
