"""An artifact in Python: what was compiled, as a module, and its training.

Takes: an artifact's folder. Gives: `Compiled`. Guarantees: training is that of `m3ic train` on one process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.front.request import Device, TrainRequest

if TYPE_CHECKING:
    from torch import fx

    from m3i_dsl.artifact.manifest import Manifest
    from m3i_dsl.artifact.pipeline import PipelineManifest
    from m3i_dsl.front.run import Run


@dataclass(frozen=True, slots=True)
class Compiled:
    """An artifact in `folder`; `manifest` says what it holds, of a recipe of stages what its stages are."""

    folder: Path
    manifest: Manifest | PipelineManifest

    @property
    def fingerprint(self) -> str:
        """Of the program: two artifacts with the same one compute the same."""
        return self.manifest.fingerprint

    def module(self, stage: str | None = None) -> fx.GraphModule:
        """The step as a module for a loop of one's own: `module(**inputs)["loss"]`, inputs by the names of its
        placeholders, `{"losses", "weights", "representations"}` beside it. `stage` of a recipe of stages: the last one.

        Raises RecipeError for an artifact that is damaged or stale, WrongUse for a stage that is none.
        """
        from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline
        from m3i_dsl.driver import load_artifact
        from m3i_dsl.front.wrong_use import place_of_stage

        if not is_pipeline(self.folder):
            return load_artifact(self.folder)[1].module
        pipeline = load_pipeline(self.folder)
        names = pipeline.manifest.names
        return load_artifact(pipeline.stage_folder(names[place_of_stage(names, stage or names[-1])]))[1].module

    def train(
        self,
        path: str | Path | None = None,
        *,
        max_steps: int | None = None,
        device: Device = "auto",
        workers: int = 0,
        resume: bool = False,
    ) -> Run:
        """Trains in this process and returns the run, in `path` (default: `runs/NAME-N`).

        `max_steps` ends it early, its schedules staying those of the whole; `workers` are processes that decode;
        `resume` continues the run in `path` (default: the last one of this artifact). What `m3ic train` shows on stderr
        is shown. Raises RecipeError and TrainingFault. An interrupt (Ctrl-C) saves a checkpoint and returns the run.
        """
        from datetime import timedelta

        from m3i_dsl.front.run import Run
        from m3i_dsl.front.training import kernels_of, train
        from m3i_dsl.runtime.distributed.group import processes
        from m3i_dsl.runtime.options import device_named

        request = TrainRequest(
            artifact=self.folder,
            run=None if path is None else Path(path),
            max_steps=max_steps,
            device=device,
            workers=workers,
            resume=resume,
        )
        kernels_of(request).prepare()
        with processes(None, device_named(device), timedelta(seconds=request.timeout)) as alone:
            return Run(train(request, alone).run)
