"""`--stage NAME`, for commands that look at one stage of a recipe or run.

Takes: the checked pipeline, or the names of its stages. Gives: the stage that was asked for, the last one by default.
Guarantees: a name that is no stage is wrong use, told with those that there are.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError

if TYPE_CHECKING:
    from m3i_dsl.driver import Checked
    from m3i_dsl.semantics.program import Program


def add_stage(parser: argparse.ArgumentParser) -> None:
    """`--stage NAME`."""
    parser.add_argument("--stage", metavar="NAME", help="a stage of the recipe (default: the last)")


def program_of(checked: Checked, arguments: argparse.Namespace) -> Program | None:
    """The program of the stage that was asked for, None when the recipe has errors. Raises CliError."""
    if checked.pipeline is None:
        return None
    stages = checked.pipeline.stages
    return stages[place_of(checked.pipeline.names, arguments.stage)] if arguments.stage is not None else stages[-1]


def place_of(names: Sequence[str], stage: str, flag: str = "--stage") -> int:
    """Which stage is called so, counted from 0. Raises CliError."""
    if stage in names:
        return names.index(stage)
    if not names:
        raise CliError(f"{flag}: the recipe has no stages")
    near = difflib.get_close_matches(stage, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(f"`{name}`" for name in names)
    raise CliError(f"{flag}: there is no stage `{stage}`; {hint}")
