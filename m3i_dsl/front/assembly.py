"""What a run is made of, from an artifact's folder.

Takes: a folder and where to compute. Gives: the executable, the stream of its batches, and the recipe's evaluations.
Guarantees: a source that cannot be opened is shown at the place where the recipe names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.diagnostics import Diagnostic, RecipeError, error

if TYPE_CHECKING:
    from m3i_dsl.artifact import Artifact
    from m3i_dsl.data.stream import Stream
    from m3i_dsl.lower.executable import Executable
    from m3i_dsl.runtime.distributed.group import Processes
    from m3i_dsl.runtime.distributed.team import ProcessTeam
    from m3i_dsl.runtime.options import Callback
    from m3i_dsl.semantics.program import Program


@dataclass(frozen=True, slots=True)
class Assembled:
    """What a run is made of."""

    artifact: Artifact
    executable: Executable
    stream: Stream
    callbacks: list[Callback]
    team: ProcessTeam


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """How data are read: processes that decode, the share that may be broken, a file for the samples of each step."""

    workers: int
    max_broken: float
    sample_log: Path | None


def assemble(
    folder: Path,
    run_path: Path,
    processes: Processes,
    options: LoaderOptions,
    *,
    sharded: bool,
    allow_stale: bool,
    allow_other_data: bool | None = None,
) -> Assembled:
    """From an artifact's folder to everything that a trainer needs; opens the data. `sharded` is whether the module
    will be; what is allowed is as in `driver.load_artifact`.

    Raises RecipeError (an artifact that is damaged or stale, a source that cannot be opened) and TrainingFault (an
    evaluation that cannot be made).
    """
    from m3i_dsl import driver
    from m3i_dsl.data.sources import SourceFault
    from m3i_dsl.data.stream import Stream
    from m3i_dsl.runtime.distributed.team import ProcessTeam

    artifact, executable = driver.load_artifact(folder, allow_stale=allow_stale, allow_other_data=allow_other_data)
    try:
        stream = Stream(
            executable.program,
            executable.inputs,
            base=artifact.base,
            device=processes.device,
            workers=options.workers,
            rank=processes.rank,
            world=processes.size,
            max_broken=options.max_broken,
            sample_log=options.sample_log,
        )
        team = ProcessTeam(processes, lockstep=sharded)
        callbacks: list[Callback] = []
        if executable.program.evaluations:
            callbacks = _measurements(artifact, executable, run_path, options.workers, team)
        return Assembled(artifact, executable, stream, callbacks, team)
    except SourceFault as fault:
        raise RecipeError([_at_source(executable.program, fault)]) from fault


def _measurements(
    artifact: Artifact, executable: Executable, run_path: Path, workers: int, team: ProcessTeam
) -> list[Callback]:
    """The recipe's evaluations, on the splits of the data that it trains on."""
    from m3i_dsl import driver
    from m3i_dsl.evaluation.measure import LeftOut
    from m3i_dsl.evaluation.trained_run import TrainedRun, evaluation_of, measured_encoder, measurements
    from m3i_dsl.runtime.faults import Notice

    run = TrainedRun(
        path=run_path,
        executable=executable,
        base=artifact.base,
        untrained=lambda: driver.load_artifact(artifact.folder, allow_stale=True, load_weights=False)[1],
        categories={name: locked.categories for name, locked in artifact.lock.data.items()},
        step=0,
        fingerprint=artifact.manifest.fingerprint,
        device=team.device,
    )

    def learned(left_out: LeftOut) -> None:
        team.warn(Notice("M3I0511", left_out.text()))

    encoder = measured_encoder(executable.program)
    evaluation = evaluation_of(run, encoder, workers=workers, team=team, learned=learned)
    return measurements(executable, evaluation, artifact.base)


def _at_source(program: Program, fault: Exception) -> Diagnostic:
    from m3i_dsl.data.sources import SourceFault

    assert isinstance(fault, SourceFault)
    source = program.data[fault.data].source
    span = source.span if fault.argument is None else source.argument(fault.argument)
    return error("M3I0501", fault.message, span, helps=(fault.help,) if fault.help else ())
