"""`m3ic train [ARTIFACT]`: trains a compiled recipe, or continues a run.

Takes: an artifact (the last one compiled by default) or, with `--resume`, a run (the last one started by default).
Gives: a run folder, whose path is the one line on standard output. Guarantees: exit code 0 when training is complete or
`--max-steps` is reached, 1 for a fault, 75 when SIGTERM or SIGUSR1 stopped it, 130 for SIGINT; the last two can be
continued. On several processes (`--nproc-per-node`, torchrun, srun) all of this is that of the run, told once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.assembly import Parts, Reading, assemble
from m3i_dsl.cli.options import CliError, add_command, report
from m3i_dsl.cli.reporting import check_installed, reporting_of
from m3i_dsl.cli.stages import place_of
from m3i_dsl.cli.train_flags import add_flags
from m3i_dsl.cli.train_stages import train_stages
from m3i_dsl.diagnostics import Diagnostic, RecipeError

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.runtime.distributed.environment import Place
    from m3i_dsl.runtime.distributed.group import Processes
    from m3i_dsl.runtime.options import Outcome
    from m3i_dsl.runtime.run_folder import Identity, RunFolder

RUNS = Path("runs")


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "train", "train a compiled recipe", __doc__ or "")
    add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: trained. 1: a fault. 75 or 130: stopped by a signal."""
    from m3i_dsl.runtime.distributed.environment import place
    from m3i_dsl.runtime.faults import TrainingFault

    check_installed(arguments)
    try:
        where = place()
        if where is None and arguments.nproc_per_node is not None:
            return _launched(arguments)
        return _process(arguments, where)
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        return fault.exit_code


def _launched(arguments: argparse.Namespace) -> int:
    """Starts the processes. They are told the run's folder, so that those started again find it."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.runtime.distributed.launch import launch
    from m3i_dsl.runtime.run_folder import latest_path, new_path

    path: Path | None = arguments.run
    _check_stage_flags(_stages(arguments, arguments.resume), arguments)
    if path is None and arguments.resume:
        path = latest_path(RUNS, fingerprint_named(arguments))
    elif path is None:
        source: Path = latest() if arguments.artifact is None else arguments.artifact
        path = new_path(RUNS, _name_and_fingerprint(source)[0])
    words = list(arguments.words)
    words.remove("train")
    return launch(
        [*words, "--run", str(path)],
        arguments.nproc_per_node,
        restarts=arguments.max_restarts,
        grace=arguments.grace,
    )


def _process(arguments: argparse.Namespace, where: Place | None) -> int:
    """One process of a run: the only one, or one of several that were started by `launch`, torchrun or srun."""
    from datetime import timedelta

    from m3i_dsl.runtime.distributed.agreement import Elsewhere
    from m3i_dsl.runtime.distributed.group import processes
    from m3i_dsl.runtime.distributed.launch import enrol, has_reader, note_outcome, outcome
    from m3i_dsl.runtime.distributed.watchdog import FIRST
    from m3i_dsl.runtime.faults import HUNG, TrainingFault
    from m3i_dsl.runtime.options import device_named

    if outcome() is not None:
        return 0  # this run ended for good: its processes were started again in vain
    if where is not None:
        enrol(where.rank)
    device = device_named(arguments.device)
    if where is None:
        with processes(None, device, timedelta(seconds=arguments.timeout)) as alone:
            return _train(arguments, alone)
    try:
        # The watchdog comes first: it knows more than a collective that gives up.
        with processes(where, device, FIRST * timedelta(seconds=arguments.timeout)) as group:
            code = _train(arguments, group)
            noted = note_outcome(code) if group.first else has_reader()
        return 0 if noted else code
    except (RecipeError, TrainingFault) as fault:
        # Others may wait in a collective for ever: this process ends without meeting them, and the agent ends those.
        if isinstance(fault, RecipeError):
            report(fault.diagnostics, arguments, sys.stderr)
        elif not isinstance(fault, Elsewhere):
            print(fault.text(), file=sys.stderr)
        if not isinstance(fault, Elsewhere) and getattr(fault, "code", None) != HUNG:
            note_outcome(1)
        sys.stderr.flush()
        os._exit(1)


def _train(arguments: argparse.Namespace, processes: Processes) -> int:
    import torch

    from m3i_dsl.runtime.distributed.agreement import by_first

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    resume = _resumes(arguments, processes)
    stages = by_first(processes, lambda: _stages(arguments, resume))
    _check_stage_flags(stages, arguments)
    if stages:
        return train_stages(arguments, processes, resume=resume, runs=RUNS)
    folder, parts = _continued(arguments, processes) if resume else _started(arguments, processes)
    with folder:
        outcome = trained(arguments, processes, folder, parts, resume=resume)
    if processes.first:
        print(outcome.run)
    return outcome.exit_code


def _stages(arguments: argparse.Namespace, resume: bool) -> tuple[str, ...]:
    """The stages of what is to be trained; none of a recipe of one training."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline
    from m3i_dsl.runtime.run_folder import latest_path, read_identity

    if resume:
        path: Path = latest_path(RUNS, fingerprint_named(arguments)) if arguments.run is None else arguments.run
        return read_identity(path).stages
    artifact: Path = latest() if arguments.artifact is None else arguments.artifact
    return load_pipeline(artifact).manifest.names if is_pipeline(artifact) else ()


def _check_stage_flags(stages: Sequence[str], arguments: argparse.Namespace) -> None:
    """Raises CliError for a flag that means nothing."""
    if not stages and (arguments.until is not None or arguments.take_from is not None):
        raise CliError("`--until` and `--from` are about stages, and the recipe has none")
    if arguments.until is not None:
        place_of(stages, arguments.until, "--until")
    if arguments.take_from is not None and arguments.resume:
        raise CliError("`--from` is for a new run: a run that is continued has its own stages")


def trained(
    arguments: argparse.Namespace, processes: Processes, folder: RunFolder, parts: Parts, *, resume: bool
) -> Outcome:
    """Trains what `parts` are in `folder`, which is open."""
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.distributed.agreement import together
    from m3i_dsl.runtime.loop import Trainer
    from m3i_dsl.runtime.options import TrainOptions

    options = TrainOptions(
        device=processes.device,
        accumulate=arguments.accumulate,
        log_every=arguments.log_every,
        checkpoint_every=arguments.checkpoint_every,
        keep=arguments.keep,
        max_steps=arguments.max_steps,
        compile=arguments.compile,
        recompute=arguments.recompute,
        shard=arguments.shard,
        timeout=arguments.timeout,
        reporting=reporting_of(arguments, parts.executable, processes.device),
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
        ),
    )
    return trainer.run(resume=resume)


def _resumes(arguments: argparse.Namespace, processes: Processes) -> bool:
    """Whether there is a run to continue. Raises TrainingFault (M3I0730): a run that could not be found again."""
    from m3i_dsl.runtime.distributed.agreement import by_first, gathered
    from m3i_dsl.runtime.faults import LAUNCH, TrainingFault
    from m3i_dsl.runtime.run_folder import holds_run

    if arguments.resume:
        return True
    if arguments.run is None and (processes.may_restart or arguments.requeue):
        raise TrainingFault(
            LAUNCH,
            "a run that may be started again needs a folder that it finds again",
            helps=("name it with `--run FOLDER`",),
        )
    # torchrun counts restarts for each machine by itself: one of them knows.
    again = arguments.requeue or max(gathered(processes, processes.restart)) > 0
    return again and by_first(processes, lambda: holds_run(arguments.run))


def _started(arguments: argparse.Namespace, processes: Processes) -> tuple[RunFolder, Parts]:
    """A new run, locked, with a copy of the artifact."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.distributed.agreement import by_first, together
    from m3i_dsl.runtime.run_folder import Identity, RunFolder, new_path
    from m3i_dsl.runtime.slices import check_accumulation

    source: Path = latest() if arguments.artifact is None else arguments.artifact

    def opened() -> Parts:
        parts = assemble(source, RUNS, processes, reading_of(arguments), allow_stale=arguments.allow_stale)
        program = parts.executable.program
        # Before there is a folder.
        check_accumulation(program, arguments.accumulate, batch_coupled(program), processes.size)
        return parts

    parts = together(processes, opened)
    if processes.first:
        show(parts.artifact.diagnostics, arguments)
    manifest = parts.artifact.manifest
    identity = Identity(manifest.name, manifest.fingerprint, dict(manifest.versions))
    made: list[RunFolder] = []

    def create() -> Path:
        path: Path = new_path(RUNS, manifest.name) if arguments.run is None else arguments.run
        made.append(RunFolder.create(path, identity, source))
        return path

    path = by_first(processes, create)
    return made[0] if made else RunFolder(path, identity), parts


def _continued(arguments: argparse.Namespace, processes: Processes) -> tuple[RunFolder, Parts]:
    """The run to continue, locked. It trains its own copy of the artifact, whatever became of the recipe since."""
    from m3i_dsl.runtime.distributed.agreement import by_first, together
    from m3i_dsl.runtime.run_folder import RunFolder, latest_path

    made: list[RunFolder] = []

    def reopen() -> tuple[Path, Identity]:
        fingerprint = fingerprint_named(arguments)
        path: Path = latest_path(RUNS, fingerprint) if arguments.run is None else arguments.run
        made.append(RunFolder.open(path, fingerprint))
        return path, made[0].identity

    path, identity = by_first(processes, reopen)
    folder = made[0] if made else RunFolder(path, identity)
    try:
        parts = together(processes, lambda: opened_run(folder, processes, reading_of(arguments)))
    except BaseException:
        folder.close()
        raise
    if processes.first:
        show(parts.artifact.diagnostics, arguments)
    return folder, parts


def opened_run(folder: RunFolder, processes: Processes, reading: Reading) -> Parts:
    """What a run folder trains: its own copy of the artifact."""
    return assemble(folder.artifact, folder.path, processes, reading, allow_stale=True)


def reading_of(arguments: argparse.Namespace) -> Reading:
    """How data are read, from the flags."""
    return Reading(arguments.workers, arguments.max_broken, arguments.log_samples)


def fingerprint_named(arguments: argparse.Namespace) -> str | None:
    """Of the artifact that was named, if one was."""
    return None if arguments.artifact is None else _name_and_fingerprint(arguments.artifact)[1]


def _name_and_fingerprint(artifact: Path) -> tuple[str, str]:
    from m3i_dsl.artifact import load
    from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline

    if is_pipeline(artifact):
        pipeline = load_pipeline(artifact).manifest
        return pipeline.name, pipeline.fingerprint
    manifest = load(artifact, allow_stale=True).manifest
    return manifest.name, manifest.fingerprint


def show(diagnostics: Iterable[Diagnostic], arguments: argparse.Namespace) -> None:
    """On standard error."""
    if found := list(diagnostics):
        report(found, arguments, sys.stderr)
