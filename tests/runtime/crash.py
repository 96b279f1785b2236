"""Trains the tiny recipe in children that are killed at random moments; run as a script by test_crash.py.

`python -m tests.runtime.crash FOLDER SEED`: prints how many children were killed. One import of torch serves all
children.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

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


def main(folder: Path, seed: int) -> None:
    torch.set_num_threads(1)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
