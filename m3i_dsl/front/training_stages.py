"""Training of a recipe of stages: each in a run folder of its own, one after the other.

Takes: an artifact of stages, or a run of one to continue. Gives: a run folder with one for each stage. Guarantees: a
stage starts from what the stages before it handed over, and is trained by the same function as a recipe of one
training; what is complete is never trained again; a kill at any moment, also between two stages, costs what was trained
after the last checkpoint and nothing else.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3i_dsl.artifact.pipeline import PipelineArtifact, PipelineManifest
    from m3i_dsl.front.assembly import Assembled
    from m3i_dsl.front.request import TrainRequest
    from m3i_dsl.runtime.distributed.group import Processes
    from m3i_dsl.runtime.options import Outcome
    from m3i_dsl.runtime.run_folder import RunFolder


def train_stages(request: TrainRequest, processes: Processes, *, resume: bool, runs: Path) -> Outcome:
    """What `train` does for a recipe of stages. Raises RecipeError, TrainingFault and WrongUse."""
    from m3i_dsl.artifact.pipeline import load_pipeline
    from m3i_dsl.front.training import last_word, reopened
    from m3i_dsl.runtime.distributed.agreement import by_first, gathered
    from m3i_dsl.runtime.handover import is_complete
    from m3i_dsl.runtime.options import Outcome
    from m3i_dsl.runtime.run_folder import stage_path
    from m3i_dsl.runtime.signals import StopRequest

    folder = reopened(request, processes) if resume else _started(request, processes, runs)
    outcome = Outcome("finished", 0, folder.path)
    with folder, last_word(request, processes, folder) as word, StopRequest(patient=processes.size > 1) as stop:
        manifest = by_first(processes, lambda: load_pipeline(folder.artifact).manifest)
        last = manifest.names[-1] if request.until is None else request.until
        for stage in manifest.names[: manifest.names.index(last) + 1]:
            path = by_first(processes, lambda s=stage: stage_path(folder.path, s))
            if by_first(processes, lambda p=path: is_complete(p)):
                continue
            # A signal that came between two stages: the next one is not begun.
            if signal := max(gathered(processes, 0 if stop.signal is None else int(stop.signal))):
                stop.adopt(signal)
                return word.of(replace(outcome, status="stopped", exit_code=stop.exit_code))
            outcome = replace(_train_stage(request, processes, folder, manifest, stage, path), run=folder.path)
            if outcome.status != "finished":
                return word.of(outcome)
            by_first(processes, lambda p=path: _hand_over(p))
        return word.of(outcome)


def _train_stage(
    request: TrainRequest,
    processes: Processes,
    folder: RunFolder,
    manifest: PipelineManifest,
    stage: str,
    path: Path,
) -> Outcome:
    from m3i_dsl.artifact.pipeline import PipelineArtifact
    from m3i_dsl.front.training import opened_run, trained
    from m3i_dsl.runtime.distributed.agreement import by_first, together
    from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, holds_run

    place = manifest.names.index(stage)
    source = PipelineArtifact(folder.artifact, manifest).stage_folder(stage)
    identity = RunIdentity(manifest.name, manifest.stages[place].fingerprint, folder.identity.versions)
    begun = by_first(processes, lambda: holds_run(path))
    made: list[RunFolder] = []

    def enter() -> None:
        made.append(RunFolder.open(path, identity.fingerprint) if begun else RunFolder.create(path, identity, source))

    by_first(processes, enter)
    own = made[0] if made else RunFolder(path, identity)

    def assembled() -> Assembled:
        parts = opened_run(own, processes, request)
        _receive(parts, manifest, stage, folder.path)
        return parts

    with own:
        parts = together(processes, assembled)
        if processes.first:
            print(f"stage {place + 1} of {len(manifest.stages)}: {stage}", file=sys.stderr)
        return trained(request, processes, own, parts, resume=begun)


def _receive(parts: Assembled, manifest: PipelineManifest, stage: str, run: Path) -> None:
    """Gives the encoders of a stage the weights that it starts from."""
    from m3i_dsl.lower.handover import Edge, receive
    from m3i_dsl.runtime.handover import does_not_fit, read_handover
    from m3i_dsl.runtime.run_folder import stage_path

    records = manifest.edges_to(stage)
    results = {source: read_handover(stage_path(run, source)) for source in {record.source for record in records}}
    edges = [Edge(r.encoder, r.source, r.into, r.to, r.parameters) for r in records]
    for edge in edges:
        try:
            receive(parts.executable, [edge], results.__getitem__)
        except KeyError as problem:
            raise does_not_fit(stage_path(run, edge.source), str(problem.args[0])) from problem


def _hand_over(path: Path) -> None:
    """Publishes what a stage hands over, from its last checkpoint: the same however many processes trained it."""
    from m3i_dsl import driver
    from m3i_dsl.artifact.manifest import COPY
    from m3i_dsl.collectives import alone
    from m3i_dsl.lower.handover import handed_over
    from m3i_dsl.runtime.checkpoints.store import CheckpointStore
    from m3i_dsl.runtime.handover import hand_over

    checkpoint, _ = CheckpointStore(path / "checkpoints").newest()
    assert checkpoint is not None, "training that is complete ends with a checkpoint"
    with alone():
        _, executable = driver.load_artifact(path / COPY, allow_stale=True, load_weights=False)
        checkpoint.read_weights(executable.module)
    hand_over(path, handed_over(executable))


def _started(request: TrainRequest, processes: Processes, runs: Path) -> RunFolder:
    """A new run, locked, with a copy of the artifact, and the stages that `--from` names a run of."""
    from m3i_dsl.artifact import latest, load
    from m3i_dsl.artifact.pipeline import load_pipeline
    from m3i_dsl.driver import check_file
    from m3i_dsl.front.training import say_latest
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.distributed.agreement import by_first, together
    from m3i_dsl.runtime.microbatches import check_accumulation
    from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, new_path
    from m3i_dsl.source import SourceFile

    source = by_first(processes, latest) if request.artifact is None else request.artifact

    def opened() -> tuple[PipelineArtifact, dict[str, str]]:
        """Every stage is looked at before there is a folder."""
        pipeline = load_pipeline(source)
        versions: dict[str, str] = {}
        for stage in pipeline.manifest.names:
            artifact = load(pipeline.stage_folder(stage), allow_stale=request.allow_stale)
            program = check_file(SourceFile(str(artifact.folder), artifact.recipe)).required()
            check_accumulation(program, request.accumulate, batch_coupled(program), processes.size)
            if processes.first and stage == pipeline.manifest.names[0]:
                request.show(artifact.diagnostics)
                if request.artifact is None:
                    say_latest(source, artifact.folder, artifact.manifest)
            versions = dict(artifact.manifest.versions)
        return pipeline, versions

    pipeline, versions = together(processes, opened)
    manifest = pipeline.manifest
    identity = RunIdentity(manifest.name, manifest.fingerprint, versions, manifest.names)
    made: list[RunFolder] = []

    def create() -> Path:
        path: Path = new_path(runs, manifest.name) if request.run is None else request.run
        made.append(RunFolder.create(path, identity, source))
        if request.take_from is not None:
            _take(request.take_from, made[0], manifest)
        return path

    path = by_first(processes, create)
    return made[0] if made else RunFolder(path, identity)


def _take(other: Path, run: RunFolder, manifest: PipelineManifest) -> None:
    """Copies the first stages of another run, as far as they are complete and the same."""
    from m3i_dsl.artifact.copy import copy_artifact
    from m3i_dsl.artifact.manifest import COPY
    from m3i_dsl.runtime.faults import OTHER_RECIPE, TrainingFault, cannot_write
    from m3i_dsl.runtime.handover import is_complete, read_handover
    from m3i_dsl.runtime.run_folder import read_identity, stage_path

    taken = 0
    known = read_identity(other).stages
    for record in manifest.stages:
        theirs = stage_path(other, record.name) if record.name in known else other / record.name
        if not is_complete(theirs) or read_identity(theirs).fingerprint != record.fingerprint:
            break
        read_handover(theirs)
        ours = stage_path(run.path, record.name)
        try:
            ours.parent.mkdir(parents=True, exist_ok=True)
            fresh = ours.with_name(f".{ours.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(theirs, fresh, ignore=shutil.ignore_patterns("lock", COPY, "*.tmp"))
            copy_artifact(theirs / COPY, fresh / COPY)
            fresh.rename(ours)
            copy_artifact(theirs / COPY, ours / COPY)
        except OSError as problem:
            raise cannot_write(f"the run folder `{ours}`", problem) from problem
        taken += 1
    if not taken:
        raise TrainingFault(
            OTHER_RECIPE,
            f"`{other}` has no complete first stage of the same program",
            helps=("leave `--from` out to train all stages", "`m3ic runs show A B` says how two recipes differ"),
        )
    print(f"taken from {other}: {', '.join(manifest.names[:taken])}", file=sys.stderr)
