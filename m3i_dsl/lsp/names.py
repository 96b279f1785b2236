"""Definitions, references and renames, across the files that a recipe uses.

Takes: the recipes that read a document, and an offset in it. Gives: spans and edits. Guarantees: a rename changes every
use of the name in all open recipes and in the files that they use, and is refused where the new name is taken or is
none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.semantics.uses import Declared
from m3i_dsl.source import Span

_ARTICLES = {"param": "a `param`", "data": "data", "view": "a view", "encoder": "an encoder"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """A rename that would change what the recipe means, with the reason."""


def definition(users: Iterable[Analysis], path: str, offset: int) -> Span | None:
    """The declared name that the one at a place stands for."""
    found = _declared(users, path, offset)
    return None if found is None else found.name


def references(users: Iterable[Analysis], path: str, offset: int) -> list[Span]:
    """Every place of the name, its declaration first, each once."""
    users = list(users)
    found = _declared(users, path, offset)
    if found is None:
        return []
    spans = {
        (span.file.name, span.start): span
        for user in users
        if (same := user.uses.declared.get((found.kind, found.name.text))) is not None
        and (same.name.file.name, same.name.start) == (found.name.file.name, found.name.start)
        for span in user.uses.of(same)
    }
    return list(spans.values())


def renamed(users: Iterable[Analysis], path: str, offset: int, new: str) -> list[Span]:
    """The spans to replace by `new`. Raises Refused."""
    users = list(users)
    found = _declared(users, path, offset)
    if found is None:
        raise Refused("there is no name of the recipe here")
    if not _NAME.fullmatch(new):
        raise Refused(f"`{new}` is no name: letters, digits and `_`")
    for user in users:
        if new != found.name.text and (found.kind, new) in user.uses.declared:
            raise Refused(f"there is {_ARTICLES[found.kind]} `{new}` already")
    return references(users, path, offset)


def _declared(users: Iterable[Analysis], path: str, offset: int) -> Declared | None:
    return next((found for user in users if (found := user.uses.at(path, offset)) is not None), None)
