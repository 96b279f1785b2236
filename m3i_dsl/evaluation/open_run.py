"""A run's folder, opened to be measured or exported.

Takes: the folder and how its artifact is rebuilt. Gives: a `TrainedRun` with the weights of its newest checkpoint that
verifies. Guarantees: nothing in the folder is changed; what makes a checkpoint unusable is said before an
earlier one is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from m3i_dsl.artifact.load import Artifact
from m3i_dsl.artifact.staleness import OTHER_DATA
from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.trained_run import TrainedRun
from m3i_dsl.lower.executable import Executable
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.options import device_named
from m3i_dsl.runtime.run_folder import read_identity

_OTHER_DATA_MEANS = "what is measured now does not compare with what was measured before"


def open_run(
    folder: Path,
    load: Callable[[], tuple[Artifact, Executable]],
    device: Literal["auto", "cpu", "cuda"],
    say: Callable[[str], None],
) -> TrainedRun:
    """`load` rebuilds the run's own artifact with the weights of step 0; it is called again for an untrained encoder.

    Raises TrainingFault (M3I0707 no run, M3I0711 no such device, M3I0702 damaged), EvaluationError (M3I0755 no
    checkpoint) and whatever `load` raises.
    """
    identity = read_identity(folder)
    checkpoint, notices = CheckpointStore(folder / "checkpoints").newest()
    for notice in notices:
        say(notice.text())
    if checkpoint is None:
        raise errors.EvaluationError(
            errors.NOT_TRAINED,
            f"run `{folder}` has no checkpoint yet",
            help="let it train until its first checkpoint, or continue it with `m3ic train --resume`",
        )
    artifact, executable = load()
    for found in artifact.diagnostics:
        if found.code == OTHER_DATA:
            say(Notice(found.code, found.message, notes=(_OTHER_DATA_MEANS,)).text())
    checkpoint.read_weights(executable.module)
    chosen = device_named(device)
    executable.module.to(chosen)
    return TrainedRun(
        path=folder,
        executable=executable,
        base=artifact.base,
        untrained=lambda: load()[1],
        categories={name: locked.categories for name, locked in artifact.lock.data.items()},
        step=checkpoint.step,
        fingerprint=identity.fingerprint,
        device=chosen,
    )
