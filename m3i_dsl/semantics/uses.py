"""Where each name of a recipe is declared and used, and what its words are bound to: for editors.

Takes: what elaboration finds, name by name. Gives: uses by place, across the files that a recipe uses. Guarantees: a
name is that of its kind, `image` of an encoder is none of a view; what is not bound because of a fault is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from m3i_dsl.semantics.program import Placed
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.word import Word

Named = Literal["param", "data", "view", "encoder"]
"""What a recipe gives a name and reads by it."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration: what it is of, its `name`, and where the whole of it stands."""

    kind: Named
    name: Span
    whole: Span


@dataclass(slots=True)
class Uses:
    """Filled while a recipe is elaborated."""

    declared: dict[tuple[Named, str], Declared] = field(default_factory=dict[tuple[Named, str], Declared])
    found: dict[Span, tuple[Named, str]] = field(default_factory=dict[Span, tuple[Named, str]])
    words: list[Placed[Word]] = field(default_factory=list[Placed[Word]])

    def declare(self, kind: Named, name: Span, whole: Span) -> None:
        """A declaration; of several with one name the first, which is the one that is in force."""
        self.declared.setdefault((kind, name.text), Declared(kind, name, whole))

    def use(self, kind: Named, name: Span) -> None:
        """`name` is read at its place."""
        self.found[name] = (kind, name.text)

    def at(self, file: str, offset: int) -> Declared | None:
        """What the name at a place declares or reads."""
        for declared in self.declared.values():
            if _holds(declared.name, file, offset):
                return declared
        for span, key in self.found.items():
            if _holds(span, file, offset):
                return self.declared.get(key)
        return None

    def of(self, declared: Declared) -> Iterator[Span]:
        """Every place where its name is written, the declaration first."""
        yield declared.name
        yield from (span for span, key in self.found.items() if key == (declared.kind, declared.name.text))

    def word_at(self, file: str, offset: int) -> Placed[Word] | None:
        """The innermost word that is written at a place."""
        holding = (word for word in self.words if _holds(word.span, file, offset))
        return min(holding, key=lambda word: word.span.end - word.span.start, default=None)


def _holds(span: Span, file: str, offset: int) -> bool:
    return span.file.name == file and span.start <= offset <= span.end
