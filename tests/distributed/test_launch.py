"""`m3ic train --nproc-per-node 2`, with real kills, stops and signals."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from m3i_dsl import driver
from m3i_dsl.data.stream import Stream
from tests.distributed.launched import Run, artifact
from tests.distributed.processes import ONE_WORKER

pytestmark = ONE_WORKER

STEPS = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("launched")
    artifact(path, STEPS)
    return path


def weights(run: Run) -> dict[str, bytes]:
    """Every tensor of the newest checkpoint, as bytes."""
    newest = run.path / "checkpoints" / (run.path / "checkpoints" / "latest").read_text().strip()
    found: dict[str, bytes] = {}
    for file in sorted(newest.glob("**/*.safetensors")):
        with safe_open(file, "pt") as opened:
            names = list(opened.keys())
            found |= {f"{file.name}/{name}": opened.get_tensor(name).numpy().tobytes() for name in names}
    return found


def test_a_rank_that_is_killed_costs_the_steps_since_the_last_checkpoint(folder: Path) -> None:
    """And what is trained is, bit for bit, what an undisturbed run trains."""
    whole = Run(folder, "whole", "--nproc-per-node", "2")
    assert whole.ended() == (0, "whole\n"), whole.told()
    run = Run(folder, "killed", "--nproc-per-node", "2", "--checkpoint-every", "20 steps")
    run.until_step(50)
    os.kill(run.ranks()[-1], signal.SIGKILL)
    assert run.ended() == (0, "killed\n"), run.told()
    assert "from step" in run.told() and "restarted once" in run.told()
    assert weights(run) == weights(whole)


def test_samples_do_not_depend_on_kills_processes_and_workers(folder: Path) -> None:
    """Five kills at random, on 1 -> 2 -> 1 -> 2 processes with other numbers of workers."""
    chance = random.Random(5)
    log = folder / "samples.jsonl"
    common = ("--checkpoint-every", "7 steps", "--log-samples", str(log))
    one = Run(folder, "moved", *common)
    kill(one, [one.process], chance)
    assert one.ended()[0] == -signal.SIGKILL

    two = Run(folder, "moved", *common, "--resume", "--nproc-per-node", "2", "--workers", "1")
    for _ in range(2):
        kill(two, two.ranks, chance)
    two.until_step(two.step() + 2)
    two.send(signal.SIGTERM)
    assert two.ended() == (75, "moved\n"), two.told()

    again = Run(folder, "moved", *common, "--resume", "--workers", "2")
    kill(again, [again.process], chance)
    assert again.ended()[0] == -signal.SIGKILL
    last = Run(folder, "moved", *common, "--resume", "--nproc-per-node", "2")
    kill(last, last.ranks, chance)
    assert last.ended() == (0, "moved\n"), last.told()

    expected = samples(folder)
    seen: set[tuple[int, int]] = set()
    for path in log.parent.glob(f"{log.name}*"):
        for line in map(parsed, path.read_text().splitlines()):
            if line is not None:
                first, rows = line["row"], line["samples"]
                assert rows == expected[line["step"]][first : first + len(rows)], line
                seen |= {(line["step"], first + place) for place in range(len(rows))}
    assert seen == {(step, row) for step, rows in expected.items() for row in range(len(rows))}


def kill(run: Run, processes: Callable[[], list[int]] | list[int], chance: random.Random) -> None:
    """SIGKILL to one of the processes, some random steps after those that are recorded now."""
    run.until_step(min(STEPS - 30, run.step() + chance.randrange(3, 25)))
    running = processes if isinstance(processes, list) else processes()
    os.kill(chance.choice(running), signal.SIGKILL)
    run.until_gone(running)


def samples(folder: Path) -> dict[int, list[int]]:
    """What an undisturbed run of one process is given, step by step."""
    _, executable = driver.load_artifact(folder / "target" / "small", allow_stale=True)
    stream = Stream(executable.program, executable.inputs, base=folder)
    return {batch.step: batch.samples.tolist() for batch in stream.batches(0, STEPS)}


def parsed(line: str) -> dict[str, Any] | None:
    """A line of the log; None for one that a kill has cut off."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_a_rank_that_hangs_ends_in_a_message(folder: Path) -> None:
    run = Run(folder, "hung", "--nproc-per-node", "2", "--timeout", "4", "--max-restarts", "0")
    run.until_step(3)
    os.kill(run.ranks()[-1], signal.SIGSTOP)
    code, output = run.ended()
    assert (code, output) == (1, "")
    assert "error[M3I0732]: nothing has happened for" in run.told()
    # Where rank 0 waits depends on the moment: in a step, in the vote after it, or when the step is recorded.
    assert "rank 1 does not answer" in run.told() and "= note: rank 0 was " in run.told()
    assert "Traceback" not in run.told()


def test_a_fault_is_told_once_and_not_tried_again(folder: Path) -> None:
    run = Run(folder, "uneven", "--nproc-per-node", "3")
    code, output = run.ended()
    assert (code, output) == (1, "")
    assert run.told().count("error[") == 1 and "error[M3I0520]" in run.told()
    assert not run.path.exists()
