"""Names in scope during elaboration.

Takes: declarations in any order. Gives: look-up by kind and name; a definition is elaborated when it is first asked
for. Guarantees: an unknown name is reported once at its place with near names; a name whose definition was faulty is
poisoned, which is silent; a definition that needs itself is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeVar

from m3i_dsl.diagnostics import Diagnostic, Severity, error
from m3i_dsl.semantics.bind import Binder, Unbound
from m3i_dsl.semantics.program import Placed
from m3i_dsl.semantics.suggest import fix_for, help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.word import Word

Defined = Literal["data", "view", "encoder"]
T = TypeVar("T")

_ARTICLE = {"data": "data", "view": "a view", "encoder": "an encoder"}


@dataclass(slots=True)
class _Definition:
    """A named declaration. `value` is None until it is asked for, and stays None when it is faulty."""

    name: ast.Name
    build: Callable[[], object]
    state: Literal["waiting", "open", "done"] = "waiting"
    value: object | None = None


@dataclass(slots=True)
class Scope:
    """What data, views and encoders are called."""

    binder: Binder
    _definitions: dict[Defined, dict[str, _Definition]] = field(
        default_factory=lambda: {"data": {}, "view": {}, "encoder": {}}
    )
    _unknown_names: set[tuple[Defined, str]] = field(default_factory=set[tuple[Defined, str]])
    _used: set[tuple[Defined, str]] = field(default_factory=set[tuple[Defined, str]])

    def define(self, kind: Defined, name: ast.Name, whole: Span, build: Callable[[], object]) -> None:
        """Registers the definition that `whole` writes; `build` elaborates it, and may raise Unbound."""
        self._definitions[kind][name.text] = _Definition(name, build)
        self.binder.uses.declare(kind, name.span, whole)

    def elaborate(self) -> None:
        """Elaborates what nobody asked for, so that faults in unused definitions are found too."""
        for kind, definitions in self._definitions.items():
            for definition in definitions.values():
                self._value(kind, definition, definition.name)

    def names(self, kind: Defined) -> tuple[str, ...]:
        return tuple(self._definitions[kind])

    def has(self, kind: Defined, name: str) -> bool:
        return name in self._definitions[kind]

    def find(self, kind: Defined, name: ast.Name, class_: type[T], legal: Iterable[str] | None = None) -> T:
        """The definition of `name`; raises Unbound when there is none (reported) or it was faulty (silent).

        `legal` are the names to offer in place of an unknown one, if not all of the kind would do.
        """
        definitions = self._definitions[kind]
        if name.text not in definitions:
            if self.binder.unread.may_define(kind, name.text) or (kind, name.text) in self._unknown_names:
                raise Unbound
            self._unknown_names.add((kind, name.text))
            self.fail(self._unknown(kind, name, definitions if legal is None else legal))
        self._used.add((kind, name.text))
        self.binder.uses.use(kind, name.span)
        value = self._value(kind, definitions[name.text], name)
        if value is None:
            raise Unbound
        assert isinstance(value, class_)
        return value

    def mark_used(self, kind: Defined, name: str) -> None:
        """A definition is read by a place that does not name it."""
        self._used.add((kind, name))

    def all(self, kind: Defined, class_: type[T]) -> dict[str, T]:
        """The sound definitions of a kind, in the order of the recipe."""
        values = {name: definition.value for name, definition in self._definitions[kind].items()}
        return {name: value for name, value in values.items() if isinstance(value, class_)}

    def unused(self) -> Iterator[tuple[Defined, ast.Name]]:
        for kind, definitions in self._definitions.items():
            for name, definition in definitions.items():
                if (kind, name) not in self._used:
                    yield kind, definition.name

    def warn_unused(self, kind: str, name: ast.Name) -> None:
        helps = ("remove it, or use it",)
        message = f"{kind} `{name.text}` is never used"
        self.report(error("M3I0806", message, name.span, helps=helps, severity=Severity.WARNING))

    def report(self, diagnostic: Diagnostic) -> None:
        self.binder.report(diagnostic)

    def fail(self, diagnostic: Diagnostic) -> NoReturn:
        self.report(diagnostic)
        raise Unbound

    def fail_word(self, placed: Placed[Word], fault: WordError, code: str = "M3I0206") -> NoReturn:
        """Reports what a word says of its own arguments, at the argument."""
        self.fail(word_fault(placed, fault, code))

    def expect(self, name: ast.Name, legal: tuple[str, ...], what: str) -> str:
        """A name out of a closed list."""
        if name.text not in legal:
            helps, fix = help_for(name.text, legal), fix_for(name.text, name.span, legal)
            self.fail(error("M3I0122", f"unknown {what} `{name.text}`", name.span, helps=helps, fix=fix))
        return name.text

    def no_field(self, reference: ast.Reference, *, arguments: bool = False) -> None:
        """A name without `.field`, and if `arguments` is set without arguments in parentheses either."""
        if reference.field is not None:
            helps = (f"write `of {reference.name.text}`",)
            message = f"`.{reference.field.text}` means nothing here"
            self.fail(error("M3I0201", message, reference.field.span, helps=helps))
        if arguments and reference.arguments is not None:
            place = Span(reference.span.file, reference.name.span.end, reference.span.end)
            message = f"`{place.text.strip()}` means nothing after `of {reference.name.text}`"
            self.fail(error("M3I0201", message, place, helps=("leave it out",)))

    def _value(self, kind: Defined, definition: _Definition, name: ast.Name) -> object | None:
        if definition.state == "open":
            message = f"{kind} `{definition.name.text}` is defined by itself"
            self.fail(error("M3I0130", message, name.span, helps=(f"name another {kind}",)))
        if definition.state == "waiting":
            definition.state = "open"
            try:
                definition.value = definition.build()
            except Unbound:
                definition.value = None
            definition.state = "done"
        return definition.value

    def _unknown(self, kind: Defined, name: ast.Name, legal: Iterable[str]) -> Diagnostic:
        known = list(legal)
        others = [other for other in self._definitions if other != kind and self.has(other, name.text)]
        label = f"this is {_ARTICLE[others[0]]}" if others else ""
        helps = help_for(name.text, known) if known else (f"define it: `{kind} {name.text} ...`",)
        helps = helps or (f"define it: `{kind} {name.text} ...`",)
        fix = fix_for(name.text, name.span, known)
        return error("M3I0120", f"unknown {kind} `{name.text}`", name.span, label, helps=helps, fix=fix)


def word_fault(placed: Placed[Word], fault: WordError, code: str = "M3I0206") -> Diagnostic:
    """What a word says of its own arguments, at the argument, with the `param` that the argument names."""
    helps = (fault.help,) if fault.help else ()
    primary, secondary = placed.place(fault.argument)
    return error(code, fault.message, primary.span, secondary=secondary, helps=helps)
