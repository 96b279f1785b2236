"""The flags of `m3ic train`, in the groups that `--help` shows.

Takes: a parser. Gives: it back with the flags. Guarantees: none changes the weights that a recipe trains to, but for
`--max-steps`, which ends a run early; a value that cannot be is refused before anything is read.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from m3i_dsl.cli.options import whole_number
from m3i_dsl.cli.reporting import add_log_to
from m3i_dsl.vocabulary.values import Duration


def add_flags(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    _of_the_run(parser)
    _of_the_data(parser.add_argument_group("data"))
    _of_the_computation(parser.add_argument_group("computation"))
    _of_the_kernels(parser.add_argument_group("kernels, on a GPU"))
    _of_the_processes(parser.add_argument_group("processes"))
    for flag in ("--epochs", "--steps", "--batch", "--batch-size", "--lr", "--seed", "--precision"):
        parser.add_argument(flag, dest=argparse.SUPPRESS, action=_OfTheRecipe, help=argparse.SUPPRESS)


class _OfTheRecipe(argparse.Action):
    """Refuses what changes the weights: there is one place where it is said."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        raise argparse.ArgumentError(
            self,
            "this is said by the recipe: change its `train` block (or `m3ic compile RECIPE --set train.epochs=20`), "
            "and start a new run with `m3ic train`. A run that is resumed keeps what it began with, "
            "as schedules are of the whole training",
        )


def again(run: Path, words: Sequence[str]) -> str:
    """The command that continues `run` as the command `words` has trained it: the same flags of where and how fast."""
    kept: list[str] = []
    rest = list(words)
    rest.remove("train")
    while rest:
        flag = rest.pop(0)
        name, equals, _ = flag.partition("=")
        if not flag.startswith("--"):
            continue  # the artifact: a run has its own copy
        value = [] if equals or _is_short_for(name, _WITHOUT_VALUE) or not rest else [rest.pop(0)]
        if not _is_short_for(name, _OF_ONE_START):
            kept += [flag, *value]
    return f"`{shlex.join(['m3ic', 'train', '--resume', '--run', str(run), *kept])}`"


_WITHOUT_VALUE = (
    "--resume",
    "--requeue",
    "--allow-stale",
    "--debug",
    "--deterministic",
    "--tf32",
    "--cudnn-benchmark",
    "--no-cudnn-benchmark",
)
_OF_ONE_START = ("--resume", "--requeue", "--run", "--from", "--until", "--max-steps")
"""What is not said again: a run that goes on has its folder, its artifact and its stages, and goes to the end."""


def _is_short_for(name: str, flags: Sequence[str]) -> bool:
    """argparse takes a flag by its beginning as long as no other one begins so."""
    return any(flag.startswith(name) for flag in flags)


def _of_the_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artifact", nargs="?", type=Path, metavar="ARTIFACT", help="default: the last one compiled")
    parser.add_argument("--resume", action="store_true", help="continue a run: that of --run, or the last one")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="the run's folder (default: runs/RECIPE-N)")
    parser.add_argument("--requeue", action="store_true", help="start the run of --run, or continue it if it is there")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage of the recipe")
    parser.add_argument(
        "--from",
        dest="take_from",
        type=Path,
        metavar="RUN",
        help="take the first stages from this run, as far as they are complete and the same",
    )
    parser.add_argument(
        "--allow-stale",
        action="store_true",
        help="train an artifact whose recipe or data changed, or go on with a run whose data changed",
    )
    parser.add_argument(
        "--max-steps", type=whole_number(1), metavar="N", help="stop after N steps (of a stage); schedules stay"
    )
    parser.add_argument(
        "--log-every",
        type=whole_number(1),
        metavar="STEPS",
        help="default: 10, in short runs as often as 20 points of a curve need",
    )
    add_log_to(parser)
    parser.add_argument(
        "--checkpoint-every",
        type=_duration,
        metavar="DURATION",
        help="`500 steps`, `1 epoch`, `10%%` (default: by time)",
    )
    parser.add_argument(
        "--keep", type=whole_number(1), default=2, metavar="N", help="how many checkpoints are kept (default: 2)"
    )


def _of_the_data(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]  # it has no other name
    group.add_argument(
        "--workers", type=whole_number(0), default=0, metavar="N", help="processes that decode images, a rank"
    )
    group.add_argument(
        "--max-broken",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="end when more of the samples cannot be read (default: 1%%); they are skipped and named",
    )
    group.add_argument("--log-samples", type=Path, metavar="FILE", help="write which samples each step is made of")


def _of_the_computation(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    group.add_argument("--threads", type=whole_number(1), metavar="N", help="threads that torch computes with on a CPU")
    group.add_argument(
        "--accumulate", type=whole_number(1), default=1, metavar="N", help="compute each batch in N parts"
    )
    group.add_argument(
        "--recompute",
        choices=("none", "blocks"),
        default="none",
        help="compute activations of transformer blocks again in the backward pass: less memory (default: none)",
    )
    group.add_argument(
        "--compile",
        choices=("on", "off", "auto"),
        default="auto",
        help="torch.compile for each transformer block (default: auto, which is on for a GPU and off for a CPU)",
    )


def _of_the_kernels(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits at each run on a GPU, by slower kernels (a CPU gives them anyway)",
    )
    group.add_argument(
        "--tf32",
        action="store_true",
        help="products and convolutions in float32 round their operands to 10 bits (default: they do not)",
    )
    group.add_argument(
        "--channels-last",
        choices=("auto", "on", "off"),
        default="auto",
        help="the layout of convolutions (default: auto, which is on for a GPU without --shard)",
    )
    group.add_argument(
        "--cudnn-benchmark",
        action=argparse.BooleanOptionalAction,
        help="time convolutions at the first call of each shape (default: unless --deterministic)",
    )
    group.add_argument(
        "--allocator",
        choices=("expandable", "torch"),
        default="expandable",
        help="segments that grow, or torch's own and what PYTORCH_ALLOC_CONF says (default: expandable)",
    )


def _of_the_processes(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--nproc-per-node", type=whole_number(1), metavar="N", help="processes on this machine, with torchrun's agent"
    )
    group.add_argument(
        "--shard",
        choices=("none", "fsdp", "hsdp"),
        default="none",
        help="weights, moments and averages in shards: over all processes, or within each machine (default: none)",
    )
    group.add_argument(
        "--max-restarts",
        type=whole_number(0),
        default=3,
        metavar="N",
        help="with --nproc-per-node: how often processes that died are started again (default: 3)",
    )
    group.add_argument(
        "--grace",
        type=whole_number(1),
        default=30,
        metavar="SECONDS",
        help="with --nproc-per-node: how long processes may take to save after a signal (default: 30)",
    )
    group.add_argument(
        "--timeout",
        type=whole_number(1),
        default=600,
        metavar="SECONDS",
        help="how long processes wait for one that does not come (default: 600)",
    )


def _duration(text: str) -> Duration:
    """Reads `500 steps`, `1 epoch`, `10%`, as a recipe writes them."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(epoch|step|sample|%)s?\s*", text)
    if match is None or float(match.group(1)) <= 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not a duration such as `500 steps`, `1 epoch` or `10%`")
    value = float(match.group(1))
    match match.group(2):
        case "epoch":
            return Duration(value, "epochs")
        case "step":
            return Duration(value, "steps")
        case "sample":
            return Duration(value, "samples")
        case _:
            return Duration(value / 100, "%")


def _share(text: str) -> float:
    """Reads `1%` or `0.01`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    value = float(match.group(1)) / (100 if match.group(2) else 1) if match else -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a share such as `1%` or `0.01`")
    return value
