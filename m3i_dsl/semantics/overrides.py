"""`--set train.batch=64`, `--set data.images.canvas=64px`, `--set stage.NAME.train.batch=64`: settings and arguments
without a `param` of their own.

Takes: the merged tree and the values of `--set` whose names have a point. Gives: the tree with these values in place of
what was written, or beside it. Guarantees: the result is elaborated like one that was written so, and a fault of a
value is shown in its own text; a path that leads nowhere is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from m3i_dsl.diagnostics import Diagnostics, error
from m3i_dsl.semantics.given import Given, Unparsed, given_as
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.registry import KINDS, words

Declared = TypeVar("Declared", bound=ast.Declaration)
Item = TypeVar("Item", bound=ast.Setting | ast.Target)

_EXAMPLE = "write `train.SETTING`, `data.NAME.ARGUMENT`, `encoder.NAME.ARGUMENT` or `objective.NAME.TARGET.SETTING`"
_EXAMPLE_OF_STAGES = "write `stage.NAME.` before `train` and `objective`: a stage has its own"


class _Lost(Exception):
    """A path that leads nowhere: the word that is not there, and those that are; none for a path that ends too soon."""

    def __init__(self, word: str | None = None, known: Iterable[str] = ()) -> None:
        super().__init__(word)
        self.word, self.known = word, tuple(known)


def overridden(recipe: ast.Recipe, settings: Mapping[str, Given], diagnostics: Diagnostics) -> ast.Recipe:
    """`recipe` with the values of the dotted names in `settings`; reports what cannot be set (M3I0129)."""
    declarations = list(recipe.declarations)
    params = {d.name.text: d.value for d in declarations if isinstance(d, ast.Param)}
    for name, value in settings.items():
        if "." not in name:
            continue
        try:
            place, rest = _declaration(declarations, name.split("."))
            declarations[place] = _Change(value, params, diagnostics).declaration(declarations[place], rest)
        except _Lost as lost:
            message = f"the recipe has no `{name}`: there is no `{lost.word}`"
            if lost.word is None:
                message = f"`{name}` is no setting and no argument, but what has some"
            staged = lost.word in _OF_A_STAGE and any(isinstance(d, ast.Stage) for d in declarations)
            example = _EXAMPLE_OF_STAGES if staged else _EXAMPLE
            helps = (() if lost.word is None else help_for(lost.word, lost.known)) or (example,)
            diagnostics.add(error("M3I0129", message, value.span, helps=helps))
    return replace(recipe, declarations=tuple(declarations))


_NAMED: Mapping[str, type[ast.Data | ast.Encoder | ast.Objective | ast.Stage]] = {
    "data": ast.Data,
    "encoder": ast.Encoder,
    "objective": ast.Objective,
    "stage": ast.Stage,
}
_OF_A_STAGE = ("train", "objective")


def _declaration(declarations: Sequence[ast.Declaration], path: list[str]) -> tuple[int, list[str]]:
    """The place of the declaration that a path starts with, and the rest of the path."""
    first, *rest = path
    if first == "train":
        found = [place for place, d in enumerate(declarations) if isinstance(d, ast.Train)]
        if not found:
            raise _Lost(first)
        if not rest:
            raise _Lost
        return found[0], rest
    if first not in _NAMED:
        raise _Lost(first, (*_NAMED, "train"))
    named = {d.name.text: place for place, d in enumerate(declarations) if isinstance(d, _NAMED[first])}
    if first in _OF_A_STAGE and not named:
        raise _Lost(first)
    if rest and rest[0] not in named:
        raise _Lost(rest[0], named)
    if len(rest) < 2:
        raise _Lost
    return named[rest[0]], rest[1:]


class _Change:
    """One value on its way to its place."""

    def __init__(self, value: Given, params: Mapping[str, ast.Value], diagnostics: Diagnostics) -> None:
        self._value, self._params, self._diagnostics = value, params, diagnostics

    def declaration(self, declaration: Declared, path: list[str]) -> Declared:
        match declaration:
            case ast.Data() | ast.Encoder():
                return replace(declaration, value=self._term(declaration.value, path))
            case ast.Train():
                return replace(declaration, settings=self._settings(declaration.settings, path))
            case ast.Objective():
                targets = {item.name.text: item for item in declaration.items if isinstance(item, ast.Target)}
                if path[0] not in targets:
                    return replace(declaration, items=self._settings(declaration.items, path))
                if len(path) < 2:
                    raise _Lost
                target = targets[path[0]]
                new = replace(target, settings=self._settings(target.settings, path[1:]))
                return replace(declaration, items=tuple(new if i is target else i for i in declaration.items))
            case ast.Stage():
                place, rest = _declaration(declaration.items, path)
                item = self.declaration(declaration.items[place], rest)
                return replace(declaration, items=(*declaration.items[:place], item, *declaration.items[place + 1 :]))
            case _:
                raise _Lost(path[0], ())

    def _settings(self, items: tuple[Item, ...], path: list[str]) -> tuple[Item | ast.Setting, ...]:
        """The first value of the setting `path[0]`, or an argument of it; one that was not written is added."""
        keyword, *rest = path
        for place, item in enumerate(items):
            if isinstance(item, ast.Setting) and item.keyword.text == keyword:
                first, *others = item.values
                new = self._term(first, rest) if rest else self._bound(first)
                return (*items[:place], replace(item, values=(new, *others)), *items[place + 1 :])
        if rest:
            named = (item.keyword if isinstance(item, ast.Setting) else item.name for item in items)
            raise _Lost(keyword, (name.text for name in named))
        value = self._bound(None)
        return (*items, ast.Setting(ast.Name(keyword, value.span), (value,), value.span))

    def _term(self, value: ast.Value, path: list[str]) -> ast.Term:
        """An argument of the word that `value` writes; a `param` is replaced by its value."""
        seen: set[str] = set()
        while isinstance(value, ast.Term) and value.arguments is None and value.name in self._params.keys() - seen:
            seen.add(value.name)
            value = self._params[value.name]
        if not isinstance(value, ast.Term):
            raise _Lost(path[0], ())
        if value.of is not None and value.of.arguments is not None:
            return replace(value, of=replace(value.of, arguments=self._arguments(value, value.of.arguments, path)))
        return replace(value, arguments=self._arguments(value, value.arguments or (), path))

    def _arguments(
        self, term: ast.Term, arguments: tuple[ast.Argument, ...], path: list[str]
    ) -> tuple[ast.Argument, ...]:
        name, *rest = path
        orders = [[p.name for p in words(kind)[term.name].parameters()] for kind in KINDS if term.name in words(kind)]
        order = next((order for order in orders if name in order), [])
        unnamed = [place for place, argument in enumerate(arguments) if argument.name is None]
        positions = {order[i]: place for i, place in enumerate(unnamed) if i < len(order)}
        positions |= {argument.name.text: place for place, argument in enumerate(arguments) if argument.name}
        if name in positions:
            place = positions[name]
            old = arguments[place]
            new = replace(old, value=self._term(old.value, rest) if rest else self._bound(old.value))
            return (*arguments[:place], new, *arguments[place + 1 :])
        if rest:
            raise _Lost(name, positions)
        value = self._bound(None)
        return (*arguments, ast.Argument(ast.Name(name, value.span), value, value.span))

    def _bound(self, old: ast.Value | None) -> ast.Value:
        value = given_as(self._value, old, self._params)
        if isinstance(value, Unparsed):
            self._diagnostics.extend(value.faults)
            return old if old is not None else ast.String(value.value, value.span)
        return value
