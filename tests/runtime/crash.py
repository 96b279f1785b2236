"""Children that are killed while they train or save; run as a script by test_crash.py.

`python -m tests.runtime.crash train FOLDER SEED` trains the tiny recipe and kills at random moments: prints how many
children were killed. `python -m tests.runtime.crash save FOLDER` kills before each thing that a save does to the disk,
one child after another: prints what it was and the step that is found afterwards. One import of torch serves all.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.folder import published, verify
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.tiny import Silent, TinyStream, create, tiny_graph, trainer

PAUSE = 0.03
"""Seconds before each step of a child: long enough for several kills also on a machine that is busy."""


def train(path: Path, resume: bool, pause: float) -> None:
    run = RunFolder.open(path) if resume else create(path)
    stream = TinyStream(before=lambda step: time.sleep(pause))
    with run:
        trainer(run, tiny_graph(epochs=12), stream, checkpoint_every=Duration(3, "steps"), display=Silent()).run(
            resume=resume
        )


def kill_training(folder: Path, seed: int) -> None:
    """Kills children at random moments until one ends."""
    draw = random.Random(seed)
    train(folder / "whole", resume=False, pause=0)
    killed = 0
    for _ in range(200):
        child = os.fork()
        if child == 0:
            try:
                train(folder / "killed", resume=(folder / "killed/run.json").exists(), pause=PAUSE)
                os._exit(0)
            except BaseException as problem:
                print(repr(problem), file=sys.stderr, flush=True)
                os._exit(1)
        time.sleep(draw.uniform(0.01, 0.35))
        if killed < 12:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status) == 0:
            print(killed)
            return
        else:
            sys.exit("a child failed")
    sys.exit("training never ended")


# --- at each thing that a save does -----------------------------------------------------------------------------------


def content(step: int) -> Content:
    return Content(
        {"weights/w": torch.full((256,), float(step)), "optimizer/w/exp_avg": torch.full((256,), float(step))},
        {"step": step},
    )


def killed_at(folder: Path, fatal: int) -> None:
    """Kills this process before the `fatal`-th time that it changes or opens something in `folder`. For good: hooks of
    Python cannot be taken back.
    """
    done = 0
    changes = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        # Inside of a folder that is being removed, names are relative to it.
        if event in changes and (str(folder) in str(arguments[0]) or event in ("os.remove", "os.rmdir")):
            done += 1
            if done == fatal:
                os.write(1, f"{event} {Path(str(arguments[0])).name} ".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def save(folder: Path, step: int, fatal: int | None = None) -> None:
    """Saves; the process is killed before the `fatal`-th time that it changes or opens something in `folder`."""
    if fatal is not None:
        killed_at(folder, fatal)
    with CheckpointStore(folder, 2) as store:
        store.save(step, content(step))


def in_child(action: Callable[[], object]) -> bool:
    """Whether a child that acts was killed."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException as problem:
            print(repr(problem), file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit("a child failed")
    return os.WIFSIGNALED(status)


def kill_saves(folder: Path) -> None:
    """Kills a save of step 30 at each of its changes, where 10 and 20 were saved before and 2 are kept."""
    for step in (10, 20):
        save(folder / "before", step)
    for fatal in range(1, 200):
        path = Path(shutil.copytree(folder / "before", folder / str(fatal)))
        killed = in_child(partial(save, path, 30, fatal))
        if not killed:
            return
        newest, damaged = CheckpointStore(path).newest()
        assert newest is not None and damaged == []
        place = torch.empty(256)
        newest.read({"weights/w": place})
        assert place.unique().tolist() == [newest.step] == [newest.plain()["step"]]
        left = {name for _, name in published(path)}
        assert ("step-000020" in left and ("step-000010" in left)) or newest.step == 30, left
        assert all(verify(path / name, step) is None for step, name in published(path))
        print(newest.step, flush=True)
        save(path, 40)  # nothing that was left is in the way
        assert not list(path.glob("*.tmp"))
    sys.exit("saving never ended")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "train":
        kill_training(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        kill_saves(Path(sys.argv[2]))
