"""The diagnostic: what every phase says about a recipe, as data.

Takes: a code of the catalogue, spans and words. Gives: `Diagnostic`, which a renderer shows as text, one line or JSON.
Guarantees: an error always has a place; the headline stands alone; only a `help` says how to fix it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from m3i_dsl.source import Span


class Severity(enum.Enum):
    """Whether the recipe can be compiled in spite of what is said."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Label:
    """A place that contributed, with a few words on what it is there."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fix:
    """A replacement of `span` by `text`. Only a `safe` fix is applied without being asked for by name."""

    span: Span
    text: str
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault or remark.

    `message` starts in lower case, has no final period, and says what is wrong, with code and names in backticks.
    `primary` is the smallest span that shows it; `secondary` the other places that contributed.
    """

    code: str
    severity: Severity
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    fix: Fix | None = None

    @property
    def span(self) -> Span:
        return self.primary.span

    @property
    def remarks(self) -> tuple[str, ...]:
        """Its notes and helps, each a line that says which it is."""
        return (*(f"note: {note}" for note in self.notes), *(f"help: {help_}" for help_ in self.helps))


def error(
    code: str,
    message: str,
    span: Span,
    label: str = "",
    *,
    secondary: Iterable[Label] = (),
    notes: Iterable[str] = (),
    helps: Iterable[str] = (),
    fix: Fix | None = None,
    severity: Severity = Severity.ERROR,
) -> Diagnostic:
    """A diagnostic at `span`; an error unless `severity` says otherwise."""
    return Diagnostic(code, severity, message, Label(span, label), tuple(secondary), tuple(notes), tuple(helps), fix)


class RecipeError(Exception):
    """Ends a phase that cannot go on; carries every diagnostic found, never shown as a traceback."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message} at {d.span}" for d in self.diagnostics))


MOST_ERRORS = 100
"""Nobody reads more of them at a time; without an end, a text of the largest size would have thousands."""


class TooManyErrors(Exception):
    """There are as many errors as are collected: there is no use in looking for more."""


@dataclass(slots=True)
class Diagnostics:
    """Collects what the phases find. Independent faults are all reported, in the order of their places.

    With `most`, the error after so many raises TooManyErrors, `cut` is set, and a note on the last one says so.
    """

    most: int | None = None
    cut: bool = False
    _found: dict[tuple[str, str, Span], Diagnostic] = field(default_factory=dict[tuple[str, str, Span], Diagnostic])
    _errors: int = 0

    def add(self, diagnostic: Diagnostic) -> None:
        """Adds what was not said yet: a value of a `param` that is wrong is so wherever it is used."""
        key = (diagnostic.code, diagnostic.message, diagnostic.span)
        if key in self._found:
            return
        if diagnostic.severity is Severity.ERROR:
            if self._errors == self.most:
                self.cut = True
                raise TooManyErrors
            self._errors += 1
        self._found[key] = diagnostic

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self.add(diagnostic)

    @property
    def has_errors(self) -> bool:
        return self._errors > 0

    def __iter__(self) -> Iterator[Diagnostic]:
        found = sorted(self._found.values(), key=lambda d: d.span.sort_key())
        if self.cut:
            found[-1] = replace(
                found[-1], notes=(*found[-1].notes, f"more than {self.most} errors: the others are left out")
            )
        return iter(found)

    def __len__(self) -> int:
        return len(self._found)

    def raise_errors(self) -> None:
        """Raises RecipeError with everything collected if any of it is an error."""
        if self.has_errors:
            raise RecipeError(self)
