"""The parser's tables, kept: building them from the grammar takes a third of a short command.

Takes: the kept tables, or a parser that was built. Gives: the parser, or the tables of it. Guarantees: tables that are
not of the given grammar and of this lark are never used; they are data, read as JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef


def load(kept: bytes, grammar: str, settings: Mapping[str, object]) -> Lark | None:
    """The parser of `grammar`, or None where `kept` is of another. `settings` are lark's that tables do not hold."""
    try:
        stored: dict[str, Any] = json.loads(kept)
    except ValueError:
        return None
    if stored.get("of") != _identity(grammar):
        return None
    tables = stored["data"]["parser"]["parser"]
    tables["tokens"] = _numbered(tables["tokens"])
    tables["states"] = {state: _numbered(actions) for state, actions in _numbered(tables["states"]).items()}
    stored["memo"] = _numbered(stored["memo"])
    empty = cast("Any", Lark.__new__(Lark))
    return cast("Lark", empty._load(stored, **settings))  # what Lark.load does with a pickle


def dump(parser: Lark, grammar: str, settings: Mapping[str, object]) -> str:
    """The tables of `parser`, which was built from `grammar`. Their order changes from one process to the next."""
    data, memo = cast("Any", parser).memo_serialize([TerminalDef, Rule])
    data["options"].update(dict.fromkeys(settings))
    return json.dumps({"of": _identity(grammar), "data": data, "memo": memo}, separators=(",", ":")) + "\n"


def _identity(grammar: str) -> str:
    return f"lark {lark.__version__}, grammar {hashlib.sha256(grammar.encode()).hexdigest()}"


def _numbered(table: Mapping[str, Any]) -> dict[int, Any]:
    """JSON has no numbers as keys."""
    return {int(key): value for key, value in table.items()}
