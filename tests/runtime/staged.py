"""A recipe of three stages on digits that trains in a moment, and children that are killed while they train it.

`python -m tests.runtime.staged FOLDER SEED` trains it once as a whole and once with kills: at a random step of each
stage, before the first checkpoint of the second and third, and while a stage hands over. It prints where each child was
killed. One import of torch serves all.
"""

import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from m3i_dsl import driver
from m3i_dsl.cli.main import main
from m3i_dsl.data.stream import Stream
from m3i_dsl.runtime.handover import HANDOVER
from m3i_dsl.source import read_file

STEPS = 6
STAGES = ("pixels", "labels", "distill")

_ENCODER = 'timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 16, depth: 1, heads: 2)'
_TRAIN = f"""  train {{
    batch     32
    steps     {STEPS}
    optimizer adamw(lr: 1e-2)
  }}"""

RECIPE = f"""m3i 1
recipe staged

data digits = embedded("digits")

view view1 of digits.image = crop(16px, scale: 60%..100%)

encoder image   = {_ENCODER}
encoder student = {_ENCODER}
encoder teacher = frozen of image

stage pixels {{
  objective masked {{
    input     masked view1 by random(50%, tokens: mask)
    represent dense feature of image

    target pixels {{
      data           view1
      representation dense pixels
      predictor      decoder(layers: 1, heads: 2)
      regularization none
      distribution   gaussian
    }}
  }}

{_TRAIN}
}}

stage labels {{
  objective supervised {{
    input     view1
    represent dense feature of image

    target category {{
      data           category
      representation category embedding
      predictor      linear
      regularization negative categories
      distribution   boltzmann
    }}
  }}

{_TRAIN}
}}

stage distill {{
  objective features {{
    input     masked view1 by random(50%)
    represent dense feature of student

    target features {{
      data           view1
      representation dense feature of teacher
      predictor      decoder(layers: 1, heads: 2)
      regularization stop gradient
      distribution   gaussian
    }}
  }}

{_TRAIN}
}}

evaluate {{
  knn at end
}}
"""


def compiled(folder: Path, text: str = RECIPE) -> Path:
    """The recipe in `folder`, compiled to `folder`/target/staged."""
    recipe = folder / "staged.m3i"
    recipe.write_text(text)
    checked = driver.check_file(read_file(recipe))
    stages = driver.compile_stages(checked.stages(), folder)
    driver.write_stages(folder / "target/staged", stages, checked, {}, target=folder / "target")
    return folder / "target/staged"


def train(*arguments: str) -> int:
    """`m3ic train` with a checkpoint every other step."""
    return main(["train", "--device", "cpu", "--log-every", "1", "--checkpoint-every", "2 steps", *arguments])


def at_step(stage: str, step: int) -> Callable[[], None]:
    """Kills when the batch of a step (counted from 0) of a stage is asked for."""

    def arm() -> None:
        assembled = Stream._assembled

        def fatal(self: Stream, number: int, *rest: Any) -> Any:
            if (self.program.stage, number) == (stage, step):
                os.kill(os.getpid(), signal.SIGKILL)
            return assembled(self, number, *rest)

        Stream._assembled = fatal  # type: ignore[method-assign]

    return arm


def at_handover(stage: str, event: str, name: str) -> Callable[[], None]:
    """Kills before the disk is changed: `event` of Python's audit hooks on a file called `name` of a stage's folder."""

    def arm() -> None:
        def watch(happening: str, arguments: tuple[object, ...]) -> None:
            if happening == event and arguments:
                path = Path(str(arguments[0]))
                if path.name == name and path.parent.name.endswith(f"-{stage}"):
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)

    return arm


def in_child(run: str, arm: Callable[[], None] | None) -> bool:
    """Whether a child that trains was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            if arm is not None:
                arm()
            code = train("--requeue", "--run", run)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit("a child failed")
    return os.WIFSIGNALED(status)


def kill_everywhere(folder: Path, seed: int) -> None:
    """Trains `runs/whole`, and `runs/killed` with a kill at each place."""
    os.chdir(folder)
    compiled(Path())
    assert not in_child("runs/whole", None)
    draw = random.Random(seed)
    first, second, third = (draw.randrange(2, STEPS) for _ in STAGES)
    places: Sequence[tuple[str, Callable[[], None]]] = (
        (f"pixels {first}", at_step("pixels", first)),
        ("pixels before its handover is written", at_handover("pixels", "open", f"{HANDOVER}.tmp")),
        ("pixels before its handover is renamed", at_handover("pixels", "os.rename", f"{HANDOVER}.tmp")),
        ("labels 0", at_step("labels", 0)),
        ("labels 1", at_step("labels", 1)),
        (f"labels {second}", at_step("labels", second)),
        ("distill 1", at_step("distill", 1)),
        (f"distill {third}", at_step("distill", third)),
    )
    for place, arm in places:
        if not in_child("runs/killed", arm):
            sys.exit(f"not killed: {place}")
        print(place)
    assert not in_child("runs/killed", None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_everywhere(Path(sys.argv[1]), int(sys.argv[2]))
