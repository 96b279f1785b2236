"""The grammar as a parser.

Takes: `grammars/m3i.lark` and the tables kept beside it, from the checkout or from the installed package. Gives: the
lark parser, once. Guarantees: nothing is read or built before the first parse.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator
from pathlib import Path
from typing import Any

from lark import Lark, Token, lexer
from lark.tree import Meta

from m3i_dsl.syntax import tables
from m3i_dsl.syntax.newlines import NEWLINE, StatementNewlines

START_FILE = "start"
START_DECLARATION = "declaration"
START_VALUE = "value"

TABLES = "m3i.tables.json"

_INSTALLED = Path(__file__).parent
_CHECKOUT = Path(__file__).parents[2] / "grammars"


def grammar_text() -> str:
    """The text of `m3i.lark`."""
    return _beside("m3i.lark").read_text(encoding="utf-8")


def _beside(name: str) -> Path:
    """A file of `grammars/`; an installed package carries a copy next to this module."""
    installed = _INSTALLED / name
    return installed if installed.exists() else _CHECKOUT / name


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
        maybe_placeholders=True,
        strict=strict,
        **settings(),
    )


def settings() -> dict[str, Any]:
    """Those of lark that are objects of ours, and so in no tables."""
    return {"propagate_positions": _has_place, "postlex": StatementNewlines()}


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
    """The parser, from its kept tables; built where they are of another grammar or another lark."""
    return _kept() or build()


def keep() -> None:
    """Writes the tables of the grammar as it is now, where those that are kept are of another: `make tables`."""
    if _kept() is None:
        _beside(TABLES).write_text(tables.dump(build(), grammar_text(), settings()), encoding="ascii")


def _kept() -> Lark | None:
    path = _beside(TABLES)
    return tables.load(path.read_bytes(), grammar_text(), settings()) if path.exists() else None


def _has_place(node: object) -> bool:
    """The newline that ends a statement is not part of it."""
    return not (isinstance(node, Token) and node.type == NEWLINE) and not (isinstance(node, Meta) and node.empty)
