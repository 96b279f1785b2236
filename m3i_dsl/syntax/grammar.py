"""The grammar as a parser.

Takes: `grammars/m3i.lark`, from the checkout or from the installed package. Gives: the lark parser, built once.
Guarantees: nothing is read or built before the first parse.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator
from pathlib import Path

from lark import Lark, Token, lexer
from lark.tree import Meta

from m3i_dsl.syntax.newlines import NEWLINE, StatementNewlines

START_FILE = "start"
START_DECLARATION = "declaration"
START_VALUE = "value"

_INSTALLED = Path(__file__).with_name("m3i.lark")
_CHECKOUT = Path(__file__).parents[2] / "grammars" / "m3i.lark"


def grammar_text() -> str:
    """The text of `m3i.lark`; an installed package carries a copy next to this module."""
    path = _INSTALLED if _INSTALLED.exists() else _CHECKOUT
    return path.read_text(encoding="utf-8")


def build(*, strict: bool = False) -> Lark:
    """The parser. `strict` also proves that no two terminals collide; it needs `interegular`, so only tests ask."""
    with contextlib.nullcontext() if strict else _without_collision_checks():
        return _build(strict=strict)


def _build(*, strict: bool) -> Lark:
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        start=[START_FILE, START_DECLARATION, START_VALUE],
        propagate_positions=_has_place,
        maybe_placeholders=True,
        postlex=StatementNewlines(),
        strict=strict,
    )


@contextlib.contextmanager
def _without_collision_checks() -> Generator[None]:
    """lark 1.3 looks for colliding terminals whenever `interegular` can be imported, strict or not.

    Where the tests' requirements are installed that would take most of the time of a short command.
    """
    installed = lexer.has_interegular
    lexer.has_interegular = False
    try:
        yield
    finally:
        lexer.has_interegular = installed


@functools.cache
def parser() -> Lark:
    """The parser, built at the first call."""
    return build()


def _has_place(node: object) -> bool:
    """The newline that ends a statement is not part of it."""
    return not (isinstance(node, Token) and node.type == NEWLINE) and not (isinstance(node, Meta) and node.empty)
