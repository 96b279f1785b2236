"""What can go wrong while training, outside the recipe.

Takes: a code of the catalogue and words. Gives: `TrainingFault`, which ends the command without a traceback, and
`Notice`, a warning that does not. Guarantees: message and helps follow the style of diagnostics; faults that do have
a place in the recipe are `RecipeError`s instead.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from m3i_dsl.source.printable import one_line, printable

NON_FINITE = "M3I0701"
DAMAGED_CHECKPOINT = "M3I0702"
ACCUMULATION_COUPLED = "M3I0703"
ACCUMULATION_UNEVEN = "M3I0704"
RUN_IN_USE = "M3I0705"
CANNOT_WRITE = "M3I0706"
NOTHING_TO_RESUME = "M3I0707"
OTHER_RECIPE = "M3I0708"
RUN_EXISTS = "M3I0709"
COLLAPSE = "M3I0710"
NO_DEVICE = "M3I0711"
NO_STEPS = "M3I0712"
CHECKPOINT_EXISTS = "M3I0713"
OUT_OF_MEMORY = "M3I0714"
CANNOT_COMPILE = "M3I0715"
DAMAGED_RECORD = "M3I0716"
NOT_DETERMINISTIC = "M3I0717"
LAUNCH = "M3I0730"
OTHER_RANK = "M3I0731"
HUNG = "M3I0732"
WAITING_FOR_DATA = "M3I0740"
RECORD_ELSEWHERE = "M3I0741"


@dataclass(frozen=True, slots=True)
class Notice:
    """A code, a headline that stands alone, and how to act on it."""

    code: str
    message: str
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def text(self, severity: Literal["error", "warning"] = "warning") -> str:
        """The lines that a person reads, in the form of the compiler's diagnostics."""
        lines = [f"{severity}[{self.code}]: {one_line(self.message)}"]
        lines += [f"  = note: {note}" for note in self.notes]
        lines += [f"  = help: {help_}" for help_ in (*self.helps, f"run `m3ic explain {self.code}`")]
        return printable("\n".join(lines))


class TrainingFault(Exception):
    """Training cannot start or go on, for a reason that the user can act on. The command exits with `exit_code`."""

    exit_code = 1

    def __init__(self, code: str, message: str, *, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.notice = Notice(code, message, notes, helps)

    @property
    def code(self) -> str:
        return self.notice.code

    @property
    def message(self) -> str:
        return self.notice.message

    @property
    def helps(self) -> tuple[str, ...]:
        return self.notice.helps

    def text(self) -> str:
        return self.notice.text("error")


def not_finite(step: int, name: str, newest: Path | None) -> TrainingFault:
    """The fault for a state that no checkpoint may hold: `name` is the first tensor, `newest` the last checkpoint."""
    kept = "no checkpoint was written before it" if newest is None else f"the last one is `{newest}`"
    return TrainingFault(
        NON_FINITE,
        f"`{name}` is not finite after step {step}",
        notes=("such a state is never written as a checkpoint", kept),
        helps=("lower the learning rate, lengthen the warmup or add `clip 1` to `train`, and start a new run",),
    )


def lacks_descriptors(problem: Exception) -> bool:
    """Whether the process, or the system, may open no more files: it says nothing of the file."""
    return isinstance(problem, OSError) and problem.errno in (errno.EMFILE, errno.ENFILE)


def no_descriptors(path: Path) -> TrainingFault:
    """The fault for a checkpoint that may be whole, and cannot be looked at."""
    return TrainingFault(
        DAMAGED_CHECKPOINT,
        f"checkpoint `{path}` cannot be read: too many open files",
        notes=("nothing is known to be wrong with it",),
        helps=("raise the limit of open files with `ulimit -n`, and try again",),
    )


def cannot_write(what: str, problem: Exception) -> TrainingFault:
    """The fault for a disk that is full, a folder without permission, and the like."""
    reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    way_out = "free some space or choose another folder with `--run`"
    if lacks_descriptors(problem):
        way_out = "raise the limit of open files with `ulimit -n`"
    return TrainingFault(
        CANNOT_WRITE,
        f"{what} cannot be written: {reason}",
        notes=("checkpoints that were complete before are untouched",),
        helps=(f"{way_out}, then continue with `m3ic train --resume`",),
    )
