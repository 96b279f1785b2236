"""Settings of a block: which keywords are legal, given once, and required.

Takes: the settings of a block. Gives: them by keyword. Guarantees: an unknown keyword or a second value is an error with
the exact place, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.semantics.suggest import help_for
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
    for setting in settings:
        keyword = setting.keyword.text
        if keyword not in legal:
            diagnostics.add(
                error(
                    "M3I0123",
                    f"unknown setting `{keyword}` in {block}",
                    setting.keyword.span,
                    helps=help_for(keyword, legal, otherwise="known here: " + ", ".join(f"`{k}`" for k in legal)),
                )
            )
        elif keyword in found:
            first = Label(found[keyword].keyword.span, "first set here")
            diagnostics.add(
                error("M3I0125", f"`{keyword}` is set twice in {block}", setting.keyword.span, secondary=(first,))
            )
        else:
            found[keyword] = setting
    for keyword in required:
        if keyword not in found:
            diagnostics.add(
                error(
                    "M3I0126",
                    f"{block} has no `{keyword}`",
                    block_span,
                    helps=(f"add a line `{keyword} ...`",),
                )
            )
    return found


def single(setting: ast.Setting, diagnostics: Diagnostics) -> ast.Value:
    """The one value of a setting; more than one is reported."""
    if len(setting.values) > 1:
        extra = setting.values[1]
        diagnostics.add(error("M3I0205", f"`{setting.keyword.text}` takes one value", extra.span, "one too many"))
    return setting.values[0]
