"""The parts of a document: symbols, folds, links.

Takes: a document. Gives: its declarations with their targets, what folds, the files that it uses. Guarantees: what
parsed is there although something else did not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import singledispatch

from lsprotocol import types
from pygls.workspace import PositionCodec

from m3i_dsl.lsp.places import position, range_, uri_of
from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast

Icon = types.SymbolKind


def symbols(analysis: Analysis, codec: PositionCodec) -> list[types.DocumentSymbol]:
    """The declarations of the document, stages and objectives with what is in them."""
    return list(_symbols(analysis.tree.declarations, codec))


def _symbols(nodes: Sequence[object], codec: PositionCodec) -> Iterator[types.DocumentSymbol]:
    for node in nodes:
        named = _named(node)
        if named is None:
            continue
        name, detail, icon, span, inner = named
        yield types.DocumentSymbol(
            name=name.text,
            kind=icon,
            range=range_(span, codec),
            selection_range=range_(name, codec),
            detail=detail,
            children=list(_symbols(inner, codec)),
        )


_Named = tuple[Span, str, types.SymbolKind, Span, Sequence[object]]


@singledispatch
def _named(node: object) -> _Named | None:
    """Name, what it is, its icon, where it stands and what is in it; None of what has no name."""
    return None


@_named.register
def _(node: ast.RecipeName) -> _Named:
    return node.name.span, "recipe", Icon.Module, node.span, ()


@_named.register
def _(node: ast.Param) -> _Named:
    return node.name.span, "param", Icon.Constant, node.span, ()


@_named.register
def _(node: ast.Data) -> _Named:
    return node.name.span, "data", Icon.Array, node.span, ()


@_named.register
def _(node: ast.View) -> _Named:
    return node.name.span, "view", Icon.Variable, node.span, ()


@_named.register
def _(node: ast.Encoder) -> _Named:
    return node.name.span, "encoder", Icon.Class, node.span, ()


@_named.register
def _(node: ast.Objective) -> _Named:
    return node.name.span, "objective", Icon.Namespace, node.span, node.items


@_named.register
def _(node: ast.Target) -> _Named:
    return node.name.span, "target", Icon.Method, node.span, ()


@_named.register
def _(node: ast.Stage) -> _Named:
    return node.name.span, "stage", Icon.Package, node.span, node.items


def folds(analysis: Analysis) -> list[types.FoldingRange]:
    """Every declaration of several lines."""
    found: list[types.FoldingRange] = []
    nodes: list[object] = list(analysis.tree.declarations)
    while nodes:
        node = nodes.pop()
        if isinstance(node, (ast.Objective, ast.Stage)):
            nodes += node.items
        if isinstance(node, (ast.Objective, ast.Stage, ast.Target, ast.Train, ast.Evaluate)):
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
