"""`--stage NAME`, for commands that look at one stage of a recipe or run.

Takes: the checked pipeline, or the names of its stages. Gives: the stage that was asked for, the last one by default.
Guarantees: a name that is no stage is wrong use, told with those that there are.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
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


def chosen_run(arguments: argparse.Namespace, runs: Path) -> Path | None:
    """The run folder that RUN and `--stage` mean: of a run of stages that of the last one by default.

    None, or the folder as it was named, where no run is found: whoever opens it says so. Raises CliError.
    """
    from m3i_dsl.runtime.faults import TrainingFault
    from m3i_dsl.runtime.run_folder import latest_path, read_identity, stage_path

    try:
        folder: Path = latest_path(runs) if arguments.run is None else arguments.run
        names = read_identity(folder).stages
    except TrainingFault:
        return arguments.run
    if arguments.stage is not None:
        place_of(names, arguments.stage)
    return stage_path(folder, arguments.stage or names[-1]) if names else folder


def earlier_stages(stage: Path) -> list[Path]:
    """The run folders of the stages before the one in `stage`, in order; none of a run without stages."""
    from m3i_dsl.runtime.run_folder import holds_run, read_identity, stage_path

    run = stage.parent.parent
    if not holds_run(run):
        return []
    paths = [stage_path(run, name) for name in read_identity(run).stages]
    return paths[: [path.name for path in paths].index(stage.name)] if stage.name in {p.name for p in paths} else []


def place_of(names: Sequence[str], stage: str, flag: str = "--stage") -> int:
    """Which stage is called so, counted from 0. Raises CliError."""
    if stage in names:
        return names.index(stage)
    if not names:
        raise CliError(f"{flag}: the recipe has no stages")
    near = difflib.get_close_matches(stage, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(f"`{name}`" for name in names)
    raise CliError(f"{flag}: there is no stage `{stage}`; {hint}")
