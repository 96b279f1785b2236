"""A run, opened to be measured or exported.

Takes: a run's folder, or none for the last one started, and a stage. Gives: a `TrainedRun`, and the run folders of
stages. Guarantees: a run's own copy of its artifact is read, so that a recipe that was edited since does not matter.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.front.request import RUNS, Device
from m3i_dsl.front.wrong_use import place_of_stage

if TYPE_CHECKING:
    from m3i_dsl.evaluation.trained_run import TrainedRun


def run_folder_of(run: Path | None, stage: str | None) -> Path:
    """The folder that RUN and a stage mean: of a run of stages that of the last one by default.

    Raises TrainingFault (M3I0707 no run) and WrongUse (no such stage).
    """
    from m3i_dsl.runtime.run_folder import latest_path, read_identity, stage_path

    folder = latest_path(RUNS) if run is None else run
    names = read_identity(folder).stages
    if stage is not None:
        place_of_stage(names, stage)
    return stage_path(folder, stage or names[-1]) if names else folder


def earlier_stages(stage: Path) -> list[Path]:
    """The run folders of the stages before the one in `stage`, in order; none of a run without stages."""
    from m3i_dsl.runtime.run_folder import holds_run, read_identity, stage_path

    run = stage.parent.parent
    if not holds_run(run):
        return []
    paths = [stage_path(run, name) for name in read_identity(run).stages]
    return paths[: [path.name for path in paths].index(stage.name)] if stage.name in {p.name for p in paths} else []


def opened(folder: Path, device: Device) -> TrainedRun:
    """The run in `folder` with the weights of its newest checkpoint that verifies.

    Raises TrainingFault (M3I0707 no run, M3I0702 damaged, M3I0711 no such device, M3I0755 no checkpoint) and, from its
    artifact, RecipeError.
    """
    from m3i_dsl import driver
    from m3i_dsl.artifact.manifest import COPY
    from m3i_dsl.evaluation.open_run import open_run

    load = functools.partial(driver.load_artifact, folder / COPY, allow_stale=True, load_weights=False)
    return open_run(folder, load, device, say)


def say(text: str) -> None:
    """A remark on standard error, which leaves standard output to the results."""
    print(text, file=sys.stderr)
