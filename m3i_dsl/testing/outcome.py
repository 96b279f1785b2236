"""What a property says of a recipe.

Takes: nothing. Gives: `Property`, `Outcome`, and the three ways in which a check ends: `passed`, `Failed`,
`NotApplicable`. Guarantees: a failure names what is wrong and, when it is of a part of the recipe, the place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from m3i_dsl.source import Span
from m3i_dsl.testing.case import Case

Status = Literal["passed", "failed", "not applicable"]


class Failed(Exception):
    """The property does not hold; `span` is the part of the recipe at fault."""

    def __init__(self, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


class NotApplicable(Failed):
    """The property means nothing for this recipe; the message says why."""


@dataclass(frozen=True, slots=True)
class Property:
    """`check` returns what it measured, or raises Failed or NotApplicable. `summary` is one line."""

    name: str
    summary: str
    check: Callable[[Case], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`message` is what was measured, what is wrong, or why the property does not apply."""

    name: str
    status: Status
    message: str
    span: Span | None
    seconds: float

    @property
    def place(self) -> str:
        """`recipe.m3i:12`, or nothing."""
        return "" if self.span is None else f"{self.span.file.name}:{self.span.line}"


def outcome_of(tested: Property, case: Case) -> Outcome:
    """Runs one property. What a part of the recipe raises is a failure, too: the recipe does not compute."""
    started = time.perf_counter()
    status: Status = "passed"
    span = None
    try:
        message = tested.check(case)
    except NotApplicable as found:
        status, message, span = "not applicable", found.message, found.span
    except Failed as found:
        status, message, span = "failed", found.message, found.span
    except Exception as fault:
        status, message = "failed", f"the step raises {type(fault).__name__}: {fault}"
    return Outcome(tested.name, status, message, span, time.perf_counter() - started)
