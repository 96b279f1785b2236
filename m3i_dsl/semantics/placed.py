"""A word with the place where it is written.

Takes: a bound word, its spans. Gives: `Placed`. Guarantees: every bound word keeps its span, the span of each argument,
and which arguments were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from m3i_dsl.diagnostics import Label
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.word import Word

W_co = TypeVar("W_co", bound=Word, covariant=True)


@dataclass(frozen=True, slots=True)
class Definition:
    """Where the `param` that an argument names has its value; `given` when that is on the command line."""

    name: str
    span: Span
    given: bool


def place_of(used: Span, definition: Definition | None, text: str = "") -> tuple[Label, tuple[Label, ...]]:
    """Where to show a fault of the value at `used`, labelled `text`, and what else to show.

    A value that the command line gives is shown there, and where it is used as second place; for any other value of a
    `param` it is the other way round.
    """
    if definition is None:
        return Label(used, text), ()
    if definition.given:
        return Label(definition.span, text), (Label(used, f"`{definition.name}` is used here"),)
    return Label(used, text), (Label(definition.span, f"`{definition.name}` has its value here"),)


@dataclass(frozen=True, slots=True)
class Placed(Generic[W_co]):
    """A bound word and where it was written. `arguments` has a span for each argument that the recipe gives.

    `definitions` says, for arguments that name a `param`, where its value is written.
    """

    word: W_co
    span: Span
    arguments: Mapping[str, Span]
    definitions: Mapping[str, Definition] = field(default_factory=dict[str, Definition])

    def argument(self, name: str | None) -> Span:
        """The span of an argument, or of the word when it was left out."""
        return self.span if name is None else self.arguments.get(name, self.span)

    def place(self, name: str | None, text: str = "") -> tuple[Label, tuple[Label, ...]]:
        """Where to show a fault of an argument, labelled `text`, and what else to show."""
        return place_of(self.argument(name), self.definitions.get(name or ""), text)
