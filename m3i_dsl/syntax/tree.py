"""From lark's tree to the syntax tree.

Takes: the tree of one text (or of one declaration in it). Gives: the nodes of `ast`, with spans in the whole file.
Guarantees: every node's span covers exactly the tokens that it was built from. Faults inside a token (an escape that
does not exist, a number too large) are collected, and the node gets a value that stands for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar, cast

from lark import Token, Tree

from m3i_dsl.diagnostics import MOST_ERRORS, Diagnostics, error
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast

Node = TypeVar("Node")
Child = "Tree[Token] | Token | None"

_UNITS = {
    "epoch": "epochs",
    "epochs": "epochs",
    "step": "steps",
    "steps": "steps",
    "samples": "samples",
    "sample": "samples",
}
_FACTORS = {"k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9)}
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}


class Builder:
    """Builds nodes of one file. One method for each rule of the grammar."""

    def __init__(self, file: SourceFile, diagnostics: Diagnostics) -> None:
        self._file = file
        self._diagnostics = diagnostics

    # --- places -------------------------------------------------------------------------------------------------------

    def _span(self, tree: Tree[Token]) -> Span:
        return Span(self._file, tree.meta.start_pos, tree.meta.end_pos)

    def _token_span(self, token: Token) -> Span:
        assert token.start_pos is not None and token.end_pos is not None
        return Span(self._file, token.start_pos, token.end_pos)

    def _name(self, child: Tree[Token] | Token | None) -> ast.Name:
        token = cast(Token, child)
        return ast.Name(str(token), self._token_span(token))

    # --- declarations -------------------------------------------------------------------------------------------------

    def recipe(self, declarations: Sequence[ast.Declaration]) -> ast.Recipe:
        span = Span(self._file, 0, len(self._file.text))
        return ast.Recipe(tuple(declarations), span)

    def declaration(self, tree: Tree[Token]) -> ast.Declaration:
        build = cast(Callable[[Tree[Token]], ast.Declaration], getattr(self, f"_{tree.data}"))
        return build(tree)

    def _version(self, tree: Tree[Token]) -> ast.Version:
        return ast.Version(self._number(subtree(tree.children[0])), self._span(tree))

    def _recipe_name(self, tree: Tree[Token]) -> ast.RecipeName:
        return ast.RecipeName(self._name(tree.children[0]), self._span(tree))

    def _use(self, tree: Tree[Token]) -> ast.Use:
        path, arguments = cast("list[Tree[Token] | Token | None]", tree.children)
        return ast.Use(self._string(subtree(path)), self._span(tree), self._arguments(arguments))

    def _param(self, tree: Tree[Token]) -> ast.Param:
        name, value = tree.children
        return ast.Param(self._name(name), self.value(subtree(value)), self._span(tree))

    def _data(self, tree: Tree[Token]) -> ast.Data:
        name, value = tree.children
        return ast.Data(self._name(name), self._term(subtree(value)), self._span(tree))

    def _view(self, tree: Tree[Token]) -> ast.View:
        name, *count, data, field, steps = tree.children
        value = cast("ast.Term | ast.Pipeline", self.value(subtree(steps)))
        names = self._name(name), self._name(data), self._name(field)
        return ast.View(*names, value, self._span(tree), self._count(subtree(count[0])) if count else None)

    def _count(self, tree: Tree[Token]) -> ast.Number | ast.Term:
        """`[8]`, or `[crops]` with the name of a param."""
        (child,) = tree.children
        if isinstance(child, Token):
            name = self._name(child)
            return ast.Term((name,), None, None, None, None, name.span)
        return self._number(child)

    def _encoder(self, tree: Tree[Token]) -> ast.Encoder:
        name, value = tree.children
        return ast.Encoder(self._name(name), self._term(subtree(value)), self._span(tree))

    def _objective(self, tree: Tree[Token]) -> ast.Objective:
        name, *rest = tree.children
        items = tuple(
            self._target(item) if item.data == "target" else self._setting(item) for item in map(subtree, rest)
        )
        return ast.Objective(self._name(name), items, self._span(tree))

    def _target(self, tree: Tree[Token]) -> ast.Target:
        name, *settings = tree.children
        return ast.Target(self._name(name), self._settings(settings), self._span(tree))

    def _train(self, tree: Tree[Token]) -> ast.Train:
        return ast.Train(self._settings(tree.children), self._span(tree))

    def _evaluate(self, tree: Tree[Token]) -> ast.Evaluate:
        evaluations = tuple(self._evaluation(subtree(child)) for child in tree.children)
        return ast.Evaluate(evaluations, self._span(tree))

    def _stage(self, tree: Tree[Token]) -> ast.Stage:
        name, *rest = tree.children
        items = tuple(
            cast("ast.Objective | ast.Train | ast.Evaluate", self.declaration(subtree(item))) for item in rest
        )
        return ast.Stage(self._name(name), items, self._span(tree))

    def _settings(self, children: Sequence[Tree[Token] | Token]) -> tuple[ast.Setting, ...]:
        return tuple(self._setting(subtree(child)) for child in children)

    def _setting(self, tree: Tree[Token]) -> ast.Setting:
        keyword, *values = tree.children
        return ast.Setting(self._name(keyword), tuple(self.value(subtree(value)) for value in values), self._span(tree))

    def _evaluation(self, tree: Tree[Token]) -> ast.Evaluation:
        term, *every = tree.children
        number = self._number(subtree(every[0])) if every else None
        return ast.Evaluation(self._term(subtree(term)), number, self._span(tree))

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, tree: Tree[Token]) -> ast.Value:
        build = cast(Callable[[Tree[Token]], ast.Value], getattr(self, f"_{tree.data}"))
        return build(tree)

    def _sum(self, tree: Tree[Token]) -> ast.Sum:
        return ast.Sum(tuple(self._term(subtree(term)) for term in tree.children), self._span(tree))

    def _pipeline(self, tree: Tree[Token]) -> ast.Pipeline:
        return ast.Pipeline(tuple(self._term(subtree(term)) for term in tree.children), self._span(tree))

    def _range(self, tree: Tree[Token]) -> ast.Range:
        low, high = tree.children
        return ast.Range(self._number(subtree(low)), self._number(subtree(high)), self._span(tree))

    def _ramp(self, tree: Tree[Token]) -> ast.Ramp:
        start, stop, shape = tree.children
        return ast.Ramp(self._number(subtree(start)), self._number(subtree(stop)), self._name(shape), self._span(tree))

    def _rate(self, tree: Tree[Token]) -> ast.Rate:
        value, per = tree.children
        return ast.Rate(self._number(subtree(value)), self._number(subtree(per)), self._span(tree))

    def _list(self, tree: Tree[Token]) -> ast.List:
        items = tuple(self.value(subtree(item)) for item in tree.children if item is not None)  # pyright: ignore[reportUnnecessaryComparison]  # placeholders
        return ast.List(items, self._span(tree))

    def _term(self, tree: Tree[Token]) -> ast.Term:
        *words, index, arguments, operand, of, by = cast("list[Tree[Token] | Token | None]", tree.children)
        return ast.Term(
            tuple(self._name(word) for word in words),
            self._arguments(arguments),
            None if operand is None else self._number(subtree(operand)),
            None if of is None else self._reference(subtree(of)),
            None if by is None else self._term(subtree(by)),
            self._span(tree),
            None if index is None else self._number(subtree(subtree(index).children[0])),
        )

    def _reference(self, tree: Tree[Token]) -> ast.Reference:
        name, field, arguments = cast("list[Tree[Token] | Token | None]", tree.children)
        return ast.Reference(
            self._name(name),
            None if field is None else self._name(field),
            self._arguments(arguments),
            self._span(tree),
        )

    def _arguments(self, child: Tree[Token] | Token | None) -> tuple[ast.Argument, ...] | None:
        if child is None:
            return None
        children = cast("list[Tree[Token] | None]", subtree(child).children)
        return tuple(self._argument(argument) for argument in children if argument is not None)

    def _argument(self, tree: Tree[Token]) -> ast.Argument:
        name, value = cast("list[Tree[Token] | Token | None]", tree.children)
        return ast.Argument(None if name is None else self._name(name), self.value(subtree(value)), self._span(tree))

    # --- literals -----------------------------------------------------------------------------------------------------

    def _number(self, tree: Tree[Token]) -> ast.Number:
        token, duration = cast("list[Token | None]", tree.children)
        assert token is not None
        text, unit = str(token), ""
        factor = Decimal(1)
        if text.endswith("%"):
            text, unit = text[:-1], "%"
        elif text.endswith("px"):
            text, unit = text[:-2], "px"
        elif text[-1] in _FACTORS:
            text, factor = text[:-1], _FACTORS[text[-1]]
        value = float(text)
        if factor != 1 and value != 0 and math.isfinite(value):
            # Exact: in floating point `1.1k` would not always be 1100.
            value = float(Decimal(text) * factor)
        if math.isinf(value):
            value = sys.float_info.max
            self._diagnostics.add(
                error("M3I0039", f"`{token}` is too large to be a number", self._token_span(token), "more than 1.8e308")
            )
        if duration is not None:
            if unit:
                self._diagnostics.add(
                    error(
                        "M3I0021",
                        f"`{token} {duration}` has two units",
                        self._token_span(token).to(self._token_span(duration)),
                        f"`{unit}` and `{duration}`",
                        helps=[f"write a length of training as `{text} {_UNITS[str(duration)]}`"],
                    )
                )
            unit = _UNITS[str(duration)]
        return ast.Number(value, unit, self._span(tree))

    def _string(self, tree: Tree[Token]) -> ast.String:
        token = cast(Token, tree.children[0])
        place = self._token_span(token)
        characters: list[str] = []
        position = 1
        while position < len(token) - 1:
            character = token[position]
            if character == "\\":
                position += 1
                escaped = token[position]
                if escaped not in _ESCAPES and len(self._diagnostics) <= MOST_ERRORS:
                    at = Span(self._file, place.start + position - 1, place.start + position + 1)
                    self._diagnostics.add(
                        error(
                            "M3I0038",
                            f"`\\{escaped}` is not an escape",
                            at,
                            helps=['the escapes are `\\\\`, `\\"`, `\\n`, and `\\t`; write a backslash as `\\\\`'],
                        )
                    )
                character = _ESCAPES.get(escaped, escaped)
            characters.append(character)
            position += 1
        return ast.String("".join(characters), self._span(tree))


def subtree(child: Tree[Token] | Token | None) -> Tree[Token]:
    """A child that is a tree, as the grammar says it is."""
    return cast("Tree[Token]", child)
