"""`m3ic train [ARTIFACT]`: trains a compiled recipe, or continues a run.

Takes: an artifact (the last one compiled by default) or, with `--resume`, a run (the last one started by default).
Gives: a run folder, whose path is the one line on standard output. Guarantees: exit code 0 when training is complete or
`--max-steps` is reached, 1 for a fault, 75 when SIGTERM or SIGUSR1 stopped it, 130 for SIGINT; the last two can be
continued.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, report
from m3i_dsl.diagnostics import Diagnostic, RecipeError, error
from m3i_dsl.vocabulary.values import Duration

if TYPE_CHECKING:
    import torch

    from m3i_dsl.artifact import Artifact
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.data.stream import Stream
    from m3i_dsl.lower.executable import Executable
    from m3i_dsl.runtime.options import Callback
    from m3i_dsl.runtime.run_folder import RunFolder
    from m3i_dsl.semantics.program import Program

RUNS = Path("runs")


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "train", "train a compiled recipe", __doc__ or "")
    parser.add_argument("artifact", nargs="?", type=Path, metavar="ARTIFACT", help="default: the last one compiled")
    parser.add_argument("--resume", action="store_true", help="continue a run: that of --run, or the last one")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="the run's folder (default: runs/RECIPE-N)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    parser.add_argument("--workers", type=_count(0), default=0, metavar="N", help="processes that decode images")
    parser.add_argument("--threads", type=_count(1), metavar="N", help="threads that torch computes with on a CPU")
    parser.add_argument("--accumulate", type=_count(1), default=1, metavar="N", help="compute each batch in N parts")
    parser.add_argument("--log-every", type=_count(1), default=10, metavar="STEPS", help="default: 10")
    parser.add_argument(
        "--checkpoint-every",
        type=_duration,
        metavar="DURATION",
        help="`500 steps`, `1 epoch`, `10%%` (default: by time)",
    )
    parser.add_argument("--keep", type=_count(1), default=2, metavar="N", help="how many checkpoints are kept")
    parser.add_argument("--max-steps", type=_count(1), metavar="N", help="stop after N steps; schedules stay")
    parser.add_argument(
        "--compile",
        choices=("on", "off", "auto"),
        default="auto",
        help="torch.compile for each transformer block (default: auto, which is on for a GPU and off for a CPU)",
    )
    parser.add_argument("--allow-stale", action="store_true", help="train an artifact whose recipe or data changed")


def run(arguments: argparse.Namespace) -> int:
    """0: trained. 1: a fault. 75 or 130: stopped by a signal."""
    from m3i_dsl.runtime.faults import TrainingFault

    try:
        return _train(arguments)
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        return fault.exit_code


def _train(arguments: argparse.Namespace) -> int:
    import torch

    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.loop import Trainer
    from m3i_dsl.runtime.options import TrainOptions, device_named

    device = device_named(arguments.device)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    options = TrainOptions(
        device=device,
        accumulate=arguments.accumulate,
        log_every=arguments.log_every,
        checkpoint_every=arguments.checkpoint_every,
        keep=arguments.keep,
        max_steps=arguments.max_steps,
        compile=arguments.compile,
    )
    folder, parts = _continued(arguments, device) if arguments.resume else _started(arguments, device)
    with folder:
        trainer = Trainer(
            parts.executable,
            parts.stream,
            folder,
            options,
            callbacks=parts.callbacks,
            batch_coupled=batch_coupled(parts.executable.program),
        )
        outcome = trainer.run(resume=arguments.resume)
    print(outcome.run)
    return outcome.exit_code


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of."""

    artifact: Artifact
    executable: Executable
    stream: Stream
    callbacks: list[Callback]


def assemble(folder: Path, run_path: Path, device: torch.device, workers: int, *, allow_stale: bool) -> Parts:
    """From an artifact's folder to everything that a trainer needs; opens the data.

    Raises RecipeError (an artifact that is damaged or stale, a source that cannot be opened) and TrainingFault (an
    evaluation that cannot be made).
    """
    from m3i_dsl import driver
    from m3i_dsl.data.sources import SourceFault
    from m3i_dsl.data.stream import Stream

    artifact, executable = driver.load_artifact(folder, allow_stale=allow_stale)
    try:
        stream = Stream(executable.program, executable.inputs, base=artifact.base, device=device, workers=workers)
    except SourceFault as fault:
        raise RecipeError([_at_source(executable.program, fault)]) from fault
    callbacks = _measurements(artifact, executable, run_path, device) if executable.program.evaluations else []
    return Parts(artifact, executable, stream, callbacks)


def _measurements(artifact: Artifact, executable: Executable, run_path: Path, device: torch.device) -> list[Callback]:
    """The recipe's evaluations, on the splits of the data that it trains on."""
    from m3i_dsl import driver
    from m3i_dsl.evaluation.trained_run import TrainedRun, evaluation_of, measured_encoder, measurements

    run = TrainedRun(
        path=run_path,
        executable=executable,
        base=artifact.base,
        untrained=lambda: driver.load_artifact(artifact.folder, allow_stale=True, load_weights=False)[1],
        categories={name: locked.categories for name, locked in artifact.lock.data.items()},
        step=0,
        fingerprint=artifact.manifest.fingerprint,
        device=device,
    )
    return measurements(executable, evaluation_of(run, measured_encoder(executable.program)), artifact.base)


def _started(arguments: argparse.Namespace, device: torch.device) -> tuple[RunFolder, Parts]:
    """A new run, locked, with a copy of the artifact."""
    from m3i_dsl.artifact import latest
    from m3i_dsl.runtime.coupled import batch_coupled
    from m3i_dsl.runtime.run_folder import Identity, RunFolder, new_path
    from m3i_dsl.runtime.slices import check_accumulation

    source: Path = latest() if arguments.artifact is None else arguments.artifact
    parts = assemble(source, RUNS, device, arguments.workers, allow_stale=arguments.allow_stale)
    _show(parts.artifact.diagnostics, arguments)
    program = parts.executable.program
    check_accumulation(program, arguments.accumulate, batch_coupled(program))  # before there is a folder
    manifest = parts.artifact.manifest
    path: Path = new_path(RUNS, manifest.name) if arguments.run is None else arguments.run
    identity = Identity(manifest.name, manifest.fingerprint, dict(manifest.versions))
    return RunFolder.create(path, identity, source), parts


def _continued(arguments: argparse.Namespace, device: torch.device) -> tuple[RunFolder, Parts]:
    """The run to continue, locked. It trains its own copy of the artifact, whatever became of the recipe since."""
    from m3i_dsl.artifact import load
    from m3i_dsl.runtime.run_folder import RunFolder, latest_path

    fingerprint = None
    if arguments.artifact is not None:
        fingerprint = load(arguments.artifact, allow_stale=True).manifest.fingerprint
    path: Path = latest_path(RUNS, fingerprint) if arguments.run is None else arguments.run
    folder = RunFolder.open(path, fingerprint)
    try:
        parts = assemble(folder.artifact, path, device, arguments.workers, allow_stale=True)
    except BaseException:
        folder.close()
        raise
    _show(parts.artifact.diagnostics, arguments)
    return folder, parts


def _show(diagnostics: Iterable[Diagnostic], arguments: argparse.Namespace) -> None:
    if found := list(diagnostics):
        report(found, arguments, sys.stderr)


def _at_source(program: Program, fault: Exception) -> Diagnostic:
    from m3i_dsl.data.sources import SourceFault

    assert isinstance(fault, SourceFault)
    source = program.data[fault.data].source
    span = source.span if fault.argument is None else source.argument(fault.argument)
    return error("M3I0501", fault.message, span, helps=(fault.help,) if fault.help else ())


# --- values of flags --------------------------------------------------------------------------------------------------


def _count(minimum: int) -> Callable[[str], int]:
    """Reads a whole number of at least `minimum`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"`{text}` is not a whole number of at least {minimum}")
        return int(text)

    return read


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
