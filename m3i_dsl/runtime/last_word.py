"""The last word of a training: what was saved, and the command that goes on.

Takes: the run's folder and how its training ended. Gives: a line for standard error; of an exception, a note
(`add_note`) that is shown behind it. Guarantees: only what is in the folder is said to be saved; a run of stages is
named by its own folder and not by that of a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.checkpoints.folder import published
from m3i_dsl.runtime.faults import HUNG, NON_FINITE, TrainingFault
from m3i_dsl.runtime.handover import is_complete
from m3i_dsl.runtime.options import Outcome
from m3i_dsl.runtime.run_folder import read_identity, read_summary, stage_path

Again = Callable[[Path], str]
"""How the training of a run is continued, in the words of who started it."""


class LastWord(AbstractContextManager["LastWord"]):
    """What is trained in here in `run` has a last word; `say` is given that of a training without an exception."""

    def __init__(self, run: Path, again: Again, say: Callable[[str], None]) -> None:
        self._run, self._again, self._say = run, again, say

    def of(self, outcome: Outcome) -> Outcome:
        """Says how it ended, and gives it back."""
        if outcome.status == "finished" and is_finished(self._run):
            self._say(finished(self._run))
        else:
            asked = f"ended after step {outcome.step} by `--max-steps`; " if outcome.status == "partial" else ""
            self._say(asked + going_on(self._run, self._again))
        return outcome

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or _code(error) == HUNG:  # processes that lost one are started again, or their launcher speaks
            return
        if _code(error) == NON_FINITE:
            error.add_note(
                f"{_saved(self._run)}; going on from there would do the same: "
                "change the recipe, compile it with `m3ic compile` and start a new run with `m3ic train`"
            )
        else:
            error.add_note(going_on(self._run, self._again))


def going_on(run: Path, again: Again) -> str:
    """What is saved of a run that is not finished, and how to continue it."""
    return f"{_saved(run)}; go on with {again(run)}"


def finished(run: Path) -> str:
    """Where the weights of a finished run are, and what is done with them."""
    return f"`{run}` is finished; {_saved(run)}; measure it with `m3ic eval {run}`"


def is_finished(run: Path) -> bool:
    """Whether nothing is left to be trained or measured. Raises TrainingFault (M3I0707) where there is no run."""
    stages = read_identity(run).stages
    if stages:
        return all(is_complete(stage_path(run, stage)) for stage in stages)
    step = read_summary(run)
    checkpoints = published(run / "checkpoints")
    return step is not None and bool(checkpoints) and checkpoints[0][0] >= step


def _saved(run: Path) -> str:
    try:
        stages = read_identity(run).stages
        for folder in [stage_path(run, stage) for stage in reversed(stages)] or [run]:
            if checkpoints := published(folder / "checkpoints"):
                step, name = checkpoints[0]
                return f"step {step} is saved in `{folder / 'checkpoints' / name}`"
    except (OSError, TrainingFault) as problem:
        return f"what is saved in `{run}` cannot be read ({problem})"
    return "no step is saved yet"


def _code(error: BaseException) -> str | None:
    if isinstance(error, RecipeError):
        return next((diagnostic.code for diagnostic in error.diagnostics), None)
    return error.code if isinstance(error, TrainingFault) else None
