"""Training: from an artifact, or a run to continue, to the outcome of a run.

Takes: a `TrainRequest` and the processes of the run. Gives: `Outcome`. Guarantees: what `m3ic train` does and what
`Compiled.train` does is this one function; of several processes each calls it, and nothing is decided by one alone.
Sibling: training_stages.py, a recipe of stages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.front.assembly import Assembled, LoaderOptions, assemble
from m3i_dsl.front.opening import say
from m3i_dsl.front.reporting import reporting_of
from m3i_dsl.front.request import RUNS, TrainRequest
from m3i_dsl.front.wrong_use import WrongUse, place_of_stage

if TYPE_CHECKING:
    from m3i_dsl.artifact.manifest import Manifest
    from m3i_dsl.runtime.distributed.group import Processes
    from m3i_dsl.runtime.kernels import Kernels
    from m3i_dsl.runtime.last_word import LastWord
    from m3i_dsl.runtime.options import Outcome
    from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity


def train(request: TrainRequest, processes: Processes) -> Outcome:
    """Trains what is asked for, as one of the processes of a run; all of them return the same outcome.

    Raises RecipeError, TrainingFault and WrongUse.
    """
    import torch

    from m3i_dsl.runtime.distributed.agreement import by_first
    from m3i_dsl.runtime.distributed.wrapping import check_sharding
    from m3i_dsl.runtime.last_word import finished
    from m3i_dsl.runtime.options import Outcome

    # Before there is a run: what it would leave behind could not be continued with these flags.
    check_sharding(processes, request.shard)
    kernels_of(request).check(sharded=request.shard != "none")
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    resume = _resumes(request, processes)
    stages = by_first(processes, lambda: stages_of(request, resume))
    check_stages(stages, request)
    if resume and (done := by_first(processes, lambda: _finished(request))) is not None:
        if processes.first:
            say(f"{finished(done)}; to train longer, give the recipe more epochs, compile it and start a new run")
        return Outcome("finished", 0, done)
    if stages:
        from m3i_dsl.front.training_stages import train_stages

        return train_stages(request, processes, resume=resume, runs=RUNS)
    folder, parts = _continued(request, processes) if resume else _started(request, processes)
    with folder, last_word(request, processes, folder) as word:
        return word.of(trained(request, processes, folder, parts, resume=resume))


def path_of(request: TrainRequest) -> Path:
    """The run folder that will be trained in. Raises RecipeError, TrainingFault and WrongUse."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.runtime.run_folder import latest_path, new_path

    check_stages(stages_of(request, request.resume), request)
    if request.run is not None:
        return request.run
    if request.resume:
        return latest_path(RUNS, fingerprint_named(request))
    return new_path(RUNS, name_and_fingerprint(latest() if request.artifact is None else request.artifact)[0])


def stages_of(request: TrainRequest, resume: bool) -> tuple[str, ...]:
    """The stages of what is to be trained; none of a recipe of one training."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline
    from m3i_dsl.runtime.run_folder import latest_path, read_identity

    if resume:
        path: Path = latest_path(RUNS, fingerprint_named(request)) if request.run is None else request.run
        return read_identity(path).stages
    artifact: Path = latest() if request.artifact is None else request.artifact
    return load_pipeline(artifact).manifest.names if is_pipeline(artifact) else ()


def check_stages(stages: Sequence[str], request: TrainRequest) -> None:
    """Raises WrongUse for a flag that means nothing."""
    if not stages and (request.until is not None or request.take_from is not None):
        raise WrongUse("`--until` and `--from` are about stages, and the recipe has none")
    if request.until is not None:
        place_of_stage(stages, request.until, "--until")
    if request.take_from is not None and request.resume:
        raise WrongUse("`--from` is for a new run: a run that is continued has its own stages")


def trained(
    request: TrainRequest, processes: Processes, folder: RunFolder, parts: Assembled, *, resume: bool
) -> Outcome:
    """Trains what `parts` are in `folder`, which is open."""
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.distributed.agreement import together
    from m3i_dsl.runtime.loop import Trainer
    from m3i_dsl.runtime.options import TrainOptions

    options = TrainOptions(
        device=processes.device,
        accumulate=request.accumulate,
        log_every=request.log_every,
        checkpoint_every=request.checkpoint_every,
        keep=request.keep,
        max_steps=request.max_steps,
        compile=request.compile,
        recompute=request.recompute,
        shard=request.shard,
        timeout=request.timeout,
        kernels=kernels_of(request),
        reporting=reporting_of(request, parts.executable, processes.device),
    )
    trainer = together(
        processes,
        lambda: Trainer(
            parts.executable,
            parts.stream,
            folder,
            options,
            callbacks=parts.callbacks,
            batch_coupled=batch_coupled(parts.executable.program),
            processes=processes,
            team=parts.team,
        ),
    )
    return trainer.run(resume=resume)


def kernels_of(request: TrainRequest) -> Kernels:
    """How exact and how repeatable torch computes."""
    from m3i_dsl.runtime.kernels import Kernels

    return Kernels(
        deterministic=request.deterministic,
        tf32=request.tf32,
        channels_last=request.channels_last,
        cudnn_benchmark=request.cudnn_benchmark,
        allocator=request.allocator,
    )


def _resumes(request: TrainRequest, processes: Processes) -> bool:
    """Whether there is a run to continue. Raises TrainingFault (M3I0730): a run that could not be found again."""
    from m3i_dsl.runtime.distributed.agreement import by_first, gathered
    from m3i_dsl.runtime.faults import LAUNCH, TrainingFault
    from m3i_dsl.runtime.run_folder import holds_run

    if request.resume:
        return True
    if request.run is None and (processes.may_restart or request.requeue):
        raise TrainingFault(
            LAUNCH,
            "a run that may be started again needs a folder that it finds again",
            helps=("name it with `--run FOLDER`",),
        )
    # torchrun counts restarts for each machine by itself: one of them knows.
    again = request.requeue or max(gathered(processes, processes.restart)) > 0
    run = request.run
    return again and run is not None and by_first(processes, lambda: holds_run(run))


def _started(request: TrainRequest, processes: Processes) -> tuple[RunFolder, Assembled]:
    """A new run, locked, with a copy of the artifact."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.distributed.agreement import by_first, together
    from m3i_dsl.runtime.microbatches import check_accumulation
    from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, new_path

    source = by_first(processes, latest) if request.artifact is None else request.artifact

    def opened() -> Assembled:
        parts = assemble(
            source,
            RUNS,
            processes,
            loader_options_of(request),
            sharded=is_sharded(request),
            allow_stale=request.allow_stale,
        )
        program = parts.executable.program
        # Before there is a folder.
        check_accumulation(program, request.accumulate, batch_coupled(program), processes.size)
        return parts

    parts = together(processes, opened)
    if processes.first:
        request.show(parts.artifact.diagnostics)
    manifest = parts.artifact.manifest
    if processes.first and request.artifact is None:
        say_latest(source, source, manifest)
    identity = RunIdentity(manifest.name, manifest.fingerprint, dict(manifest.versions))
    made: list[RunFolder] = []

    def create() -> Path:
        path: Path = new_path(RUNS, manifest.name) if request.run is None else request.run
        made.append(RunFolder.create(path, identity, source))
        return path

    path = by_first(processes, create)
    return made[0] if made else RunFolder(path, identity), parts


def say_latest(artifact: Path, folder: Path, manifest: Manifest) -> None:
    """Which recipe a training without an argument is of; `folder` is that of the manifest, in the artifact."""
    recipe = "a recipe from standard input"
    if manifest.source is not None:
        recipe = f"`{os.path.relpath(os.path.normpath(folder / manifest.source))}`"
    settings = " ".join(f"--set {name}={value}" for name, value in manifest.settings.items())
    say(f"training `{artifact}`, which was compiled last, from {recipe}{settings and f' with {settings}'}")


def reopened(request: TrainRequest, processes: Processes) -> RunFolder:
    """The folder of the run to continue, locked by the first process. Raises TrainingFault."""
    from m3i_dsl.runtime.distributed.agreement import by_first
    from m3i_dsl.runtime.run_folder import RunFolder, latest_path

    made: list[RunFolder] = []

    def reopen() -> tuple[Path, RunIdentity]:
        fingerprint = fingerprint_named(request)
        path: Path = latest_path(RUNS, fingerprint) if request.run is None else request.run
        made.append(RunFolder.open(path, fingerprint))
        return path, made[0].identity

    path, identity = by_first(processes, reopen)
    return made[0] if made else RunFolder(path, identity)


def _continued(request: TrainRequest, processes: Processes) -> tuple[RunFolder, Assembled]:
    """The run to continue, locked. It trains its own copy of the artifact, whatever became of the recipe since."""
    from m3i_dsl.runtime.distributed.agreement import together

    folder = reopened(request, processes)
    try:
        parts = together(processes, lambda: opened_run(folder, processes, request))
    except BaseException:
        folder.close()
        raise
    if processes.first:
        request.show(parts.artifact.diagnostics)
    return folder, parts


def opened_run(folder: RunFolder, processes: Processes, request: TrainRequest) -> Assembled:
    """What a run folder trains: its own copy of the artifact, on the data that it was compiled against."""
    options, other_data = loader_options_of(request), request.allow_stale
    return assemble(
        folder.artifact,
        folder.path,
        processes,
        options,
        sharded=is_sharded(request),
        allow_stale=True,
        allow_other_data=other_data,
    )


def last_word(request: TrainRequest, processes: Processes, folder: RunFolder) -> LastWord:
    """Of a training in `folder`, said by the first process."""
    from m3i_dsl.runtime.last_word import LastWord

    return LastWord(folder.path, request.again, say if processes.first else lambda text: None)


def _finished(request: TrainRequest) -> Path | None:
    """The run that is to be continued, when nothing of it is left; another program's is refused later on."""
    from m3i_dsl.runtime.last_word import is_finished
    from m3i_dsl.runtime.run_folder import latest_path, read_identity

    fingerprint = fingerprint_named(request)
    path: Path = latest_path(RUNS, fingerprint) if request.run is None else request.run
    same = fingerprint is None or read_identity(path).fingerprint == fingerprint
    return path if same and is_finished(path) else None


def loader_options_of(request: TrainRequest) -> LoaderOptions:
    """How data are read, from the flags."""
    return LoaderOptions(request.workers, request.max_broken, request.log_samples)


def is_sharded(request: TrainRequest) -> bool:
    """Whether parameters will lie on several processes."""
    return request.shard != "none"


def fingerprint_named(request: TrainRequest) -> str | None:
    """Of the artifact that was named, if one was."""
    return None if request.artifact is None else name_and_fingerprint(request.artifact)[1]


def name_and_fingerprint(artifact: Path) -> tuple[str, str]:
    """Of an artifact, of one training or of stages. Raises RecipeError."""
    from m3i_dsl.artifact import load
    from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline

    if is_pipeline(artifact):
        pipeline = load_pipeline(artifact).manifest
        return pipeline.name, pipeline.fingerprint
    manifest = load(artifact, allow_stale=True).manifest
    return manifest.name, manifest.fingerprint
