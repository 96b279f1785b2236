"""Names in scope during elaboration.

Takes: definitions in the order of the file. Gives: look-up by kind and name. Guarantees: an unknown name is reported once at
its place with near names; a name whose definition was faulty is poisoned, which is silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeVar

from m3i_dsl.diagnostics import Diagnostic, Severity, error
from m3i_dsl.semantics.bind import Binder, Unbound
from m3i_dsl.semantics.program import Placed
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.word import Word

Defined = Literal["data", "view", "encoder"]
T = TypeVar("T")


@dataclass(slots=True)
class Scope:
    """What data, views and encoders are called. A poisoned definition is stored as None."""

    binder: Binder
    _definitions: dict[Defined, dict[str, tuple[ast.Name, object | None]]] = field(
        default_factory=lambda: {"data": {}, "view": {}, "encoder": {}}
    )
    _used: set[tuple[Defined, str]] = field(default_factory=set)

    def define(self, kind: Defined, name: ast.Name, value: object | None) -> None:
        self._definitions[kind][name.text] = (name, value)

    def names(self, kind: Defined) -> tuple[str, ...]:
        return tuple(self._definitions[kind])

    def has(self, kind: Defined, name: str) -> bool:
        return name in self._definitions[kind]

    def find(self, kind: Defined, name: ast.Name, class_: type[T]) -> T:
        """The definition of `name`; raises Unbound when there is none (reported) or it was faulty (silent)."""
        definitions = self._definitions[kind]
        if name.text not in definitions:
            helps = help_for(name.text, definitions) or (f"define it: `{kind} {name.text} ...`",)
            self.fail(error("M3I0120", f"unknown {kind} `{name.text}`", name.span, helps=helps))
        self._used.add((kind, name.text))
        value = definitions[name.text][1]
        if value is None:
            raise Unbound
        assert isinstance(value, class_)
        return value

    def all(self, kind: Defined, class_: type[T]) -> dict[str, T]:
        return {name: value for name, (_, value) in self._definitions[kind].items() if isinstance(value, class_)}

    def unused(self) -> Iterator[tuple[Defined, ast.Name]]:
        for kind, definitions in self._definitions.items():
            for name, (where, _) in definitions.items():
                if (kind, name) not in self._used:
                    yield kind, where

    def warn_unused(self, kind: str, name: ast.Name) -> None:
        self.report(
            error(
                "M3I0806",
                f"{kind} `{name.text}` is never used",
                name.span,
                helps=("remove it, or use it",),
                severity=Severity.WARNING,
            )
        )

    def report(self, diagnostic: Diagnostic) -> None:
        self.binder.diagnostics.add(diagnostic)

    def fail(self, diagnostic: Diagnostic) -> NoReturn:
        self.report(diagnostic)
        raise Unbound

    def fail_word(self, placed: Placed[Word], fault: WordError, code: str = "M3I0206") -> NoReturn:
        """Reports what a word says of its own arguments, at the argument."""
        span = placed.argument(fault.argument) if fault.argument else placed.span
        self.fail(error(code, fault.message, span, helps=(fault.help,) if fault.help else ()))

    def expect(self, name: ast.Name, legal: tuple[str, ...], what: str) -> str:
        """A name out of a closed list."""
        if name.text not in legal:
            self.fail(error("M3I0122", f"unknown {what} `{name.text}`", name.span, helps=help_for(name.text, legal)))
        return name.text


