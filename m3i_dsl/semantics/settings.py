"""Settings of a block: which keywords are legal, given once, and required.

Takes: the settings of a block. Gives: them by keyword. Guarantees: an unknown keyword or a second value is an error
with the exact place, never dropped; a misspelt keyword is not also reported as missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.semantics.bind import Unbound
from m3i_dsl.semantics.suggest import ELSEWHERE, fix_for, help_for, nearest
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast


def by_keyword(
    settings: Iterable[ast.Setting],
    legal: tuple[str, ...],
    required: tuple[str, ...],
    block: str,
    block_span: Span,
    diagnostics: Diagnostics,
) -> dict[str, ast.Setting]:
    """The legal settings by keyword; reports unknown, repeated and missing ones of `block` ("target `intra`")."""
    found: dict[str, ast.Setting] = {}
    excused: set[str] = set()
    for setting in settings:
        keyword = setting.keyword.text
        if keyword not in legal:
            near = nearest(keyword, legal)
            excused |= {near} if near is not None else set()
            helps = help_for(keyword, legal, otherwise="known here: " + ", ".join(f"`{known}`" for known in legal))
            helps = (ELSEWHERE[keyword],) if keyword in ELSEWHERE else helps
            fix = fix_for(keyword, setting.keyword.span, legal) if keyword not in ELSEWHERE else None
            message = f"unknown setting `{keyword}` in {block}"
            diagnostics.add(error("M3I0123", message, setting.keyword.span, helps=helps, fix=fix))
        elif keyword in found:
            first = Label(found[keyword].keyword.span, "first set here")
            message = f"`{keyword}` is set twice in {block}"
            helps = ("terms are joined: `regularization A + B`",) if keyword == "regularization" else ("leave one out",)
            diagnostics.add(error("M3I0125", message, setting.keyword.span, secondary=(first,), helps=helps))
        else:
            found[keyword] = setting
    for keyword in required:
        if keyword not in found and keyword not in excused:
            helps = (f"add a line `{keyword} ...`",)
            diagnostics.add(error("M3I0126", f"{block} has no `{keyword}`", block_span, helps=helps))
    return found


def single(found: dict[str, ast.Setting], keyword: str, diagnostics: Diagnostics) -> ast.Value:
    """The one value of a setting; more than one is reported. Raises Unbound when the setting is missing."""
    if keyword not in found:
        raise Unbound
    value, *others = found[keyword].values
    if others:
        diagnostics.add(error("M3I0205", f"`{keyword}` takes one value", others[0].span, "one too many"))
    return value
