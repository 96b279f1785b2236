"""`--stage NAME`, for commands that look at one stage of a recipe or run.

Takes: the checked pipeline. Gives: the stage that was asked for, the last one by default.
Guarantees: a name that is no stage is wrong use, told with those that there are; which stage is shown is said when none
was asked for.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from m3i_dsl.front.wrong_use import place_of_stage

if TYPE_CHECKING:
    from m3i_dsl.driver import Checked
    from m3i_dsl.semantics.program import Program


def add_stage(parser: argparse.ArgumentParser) -> None:
    """`--stage NAME`."""
    parser.add_argument("--stage", metavar="NAME", help="a stage of the recipe (default: the last)")


def program_of(checked: Checked, arguments: argparse.Namespace) -> Program | None:
    """The program of the stage that was asked for, None when the recipe has errors. Raises WrongUse."""
    if checked.pipeline is None:
        return None
    pipeline = checked.pipeline
    return pipeline.stages[-1 if arguments.stage is None else place_of_stage(pipeline.names, arguments.stage)]


def say_stage(checked: Checked, arguments: argparse.Namespace) -> None:
    """On standard error, for a recipe of several stages of which none was asked for: the one shown, and the others."""
    if arguments.stage is None and checked.pipeline is not None and len(checked.pipeline.names) > 1:
        *others, last = checked.pipeline.names
        count = len(others) + 1
        print(f"stage {count} of {count}: {last}; `--stage NAME` for another: {', '.join(others)}", file=sys.stderr)
