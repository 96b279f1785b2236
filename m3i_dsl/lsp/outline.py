"""The parts of a document: symbols, folds, links.

Takes: a document. Gives: its declarations with their targets, what folds, the files that it uses. Guarantees: what
parsed is there although something else did not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from lsprotocol import types
from pygls.workspace import PositionCodec

from m3i_dsl.lsp.places import position, range_, uri_of
from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.syntax import ast

Icon = types.SymbolKind


def symbols(analysis: Analysis, codec: PositionCodec) -> list[types.DocumentSymbol]:
    """The declarations of the document, stages and objectives with what is in them."""
    return list(_symbols(analysis.tree.declarations, codec))


def _symbols(nodes: Sequence[object], codec: PositionCodec) -> Iterator[types.DocumentSymbol]:
    for node in nodes:
        if isinstance(node, _NAMED):
            detail, icon = _SHOWN[type(node)]
            yield types.DocumentSymbol(
                name=node.name.text,
                kind=icon,
                range=range_(node.span, codec),
                selection_range=range_(node.name.span, codec),
                detail=detail,
                children=list(_symbols(node.items if isinstance(node, _HOLDING) else (), codec)),
            )


_HOLDING = (ast.Objective, ast.Stage)
_NAMED = (ast.RecipeName, ast.Param, ast.Data, ast.View, ast.Encoder, ast.Target, *_HOLDING)
_SHOWN: dict[type, tuple[str, types.SymbolKind]] = {
    ast.RecipeName: ("recipe", Icon.Module),
    ast.Param: ("param", Icon.Constant),
    ast.Data: ("data", Icon.Array),
    ast.View: ("view", Icon.Variable),
    ast.Encoder: ("encoder", Icon.Class),
    ast.Objective: ("objective", Icon.Namespace),
    ast.Target: ("target", Icon.Method),
    ast.Stage: ("stage", Icon.Package),
}
"""What has a name in an outline: what it is, and its icon."""


def folds(analysis: Analysis) -> list[types.FoldingRange]:
    """Every declaration of several lines."""
    found: list[types.FoldingRange] = []
    nodes: list[object] = list(analysis.tree.declarations)
    while nodes:
        node = nodes.pop()
        if isinstance(node, _HOLDING):
            nodes += node.items
        if isinstance(node, (*_HOLDING, ast.Target, ast.Train, ast.Evaluate)):
            first = node.span.line
            last = node.span.file.line_and_column(len(node.span.file.text[: node.span.end].rstrip()))[0]
            if last > first:
                found.append(types.FoldingRange(first - 1, last - 1))
    return sorted(found, key=lambda fold: fold.start_line)


def links(analysis: Analysis, codec: PositionCodec) -> list[types.DocumentLink]:
    """The files that the document uses."""
    folder = os.path.dirname(analysis.file.name)
    return [
        types.DocumentLink(
            types.Range(position(span.file, span.start + 1, codec), position(span.file, span.end - 1, codec)),
            target=uri_of(os.path.normpath(os.path.join(folder, use.path.value))),
        )
        for use in analysis.tree.declarations
        if isinstance(use, ast.Use)
        for span in (use.path.span,)
    ]
