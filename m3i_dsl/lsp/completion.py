"""What may be written at the cursor.

Takes: a document and an offset. Gives: completion items with their docs. Guarantees: a word is offered only where its
kind may stand, an argument only where it is not given yet, a name only of its kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import singledispatch

from lsprotocol import types

from m3i_dsl.lsp import cursor
from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.lsp.words import parameter_page, type_of, word_page
from m3i_dsl.syntax.keywords import DECLARATIONS, SETTINGS
from m3i_dsl.vocabulary.kinds import Source
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.word import Word

Item = types.CompletionItem
Icon = types.CompletionItemKind

MOST_MODELS = 200
"""Names of timm's models that are offered at a time; there are thousands."""


def completions(analysis: Analysis, offset: int) -> types.CompletionList:
    """What may stand at `offset`."""
    at = cursor.cursor_at(analysis.file.text, offset)
    items = [] if at is None else list(_offered(at, analysis))
    incomplete = isinstance(at, cursor.EncoderName) and len(items) == MOST_MODELS
    return types.CompletionList(is_incomplete=incomplete, items=items)


@singledispatch
def _offered(at: object, analysis: Analysis) -> Iterable[Item]:
    raise AssertionError(f"nothing is offered for {at!r} in {analysis.file.name}")


@_offered.register
def _(at: cursor.Declaration, analysis: Analysis) -> Iterator[Item]:
    for word in at.words:
        yield Item(word, kind=Icon.Keyword, detail=DECLARATIONS[word])


@_offered.register
def _(at: cursor.SettingOf, analysis: Analysis) -> Iterator[Item]:
    for name in SETTINGS.get(at.block, ()):
        yield Item(name, kind=Icon.Keyword if name == "target" else Icon.Property)


@_offered.register
def _(at: cursor.WordOf, analysis: Analysis) -> Iterator[Item]:
    for kind in at.kinds:
        for name, word in words(kind).usable():
            rest = name.removeprefix(f"{at.before} ") if at.before else name
            if rest != name or not at.before:
                yield _word(rest, word)
    for literal in at.literals:
        yield Item(literal, kind=Icon.Keyword)
    for name in at.names:
        if name in ("first", "second"):
            yield Item(name, kind=Icon.Keyword)
    yield from _names(at.names, analysis)


@_offered.register
def _(at: cursor.ArgumentOf, analysis: Analysis) -> Iterator[Item]:
    for place, parameter in enumerate(at.word.parameters()):
        if parameter.name not in at.given:
            yield Item(
                parameter.name,
                kind=Icon.Field,
                detail=type_of(parameter),
                documentation=_markdown(parameter_page(at.word, parameter)),
                insert_text=f"{parameter.name}: ",
                sort_text=f"{not parameter.required:d}{place:03}",
            )


@_offered.register
def _(at: cursor.ValueOf, analysis: Analysis) -> Iterator[Item]:
    type_ = at.parameter.type
    values = ("true", "false") if type_.form == "boolean" else type_.choices
    for value in values:
        yield Item(value, kind=Icon.EnumMember)
    if type_.form == "scalar":
        yield Item("learned", kind=Icon.Keyword)
    if type_.word is not None:
        for name, word in words(type_.word.kind).usable():
            yield _word(name, word)
    yield from _names(("param",), analysis)


@_offered.register
def _(at: cursor.FieldOf, analysis: Analysis) -> Iterator[Item]:
    declared = analysis.uses.declared.get(("data", at.data))
    whole = None if declared is None else declared.whole
    for placed in analysis.uses.words:
        inside = whole is not None and placed.span.file == whole.file and whole.start <= placed.span.start < whole.end
        if inside and isinstance(placed.word, Source):
            for name, modality in placed.word.fields().items():
                yield Item(name, kind=Icon.Field, detail=modality.name)


@_offered.register
def _(at: cursor.FileName, analysis: Analysis) -> Iterator[Item]:
    folder = os.path.join(os.path.dirname(analysis.file.name), os.path.dirname(at.written))
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".m3i") and entry.path != analysis.file.name:
            yield Item(entry.name, kind=Icon.File)
        elif entry.is_dir() and not entry.name.startswith("."):
            yield Item(f"{entry.name}/", kind=Icon.Folder)


@_offered.register
def _(at: cursor.EncoderName, analysis: Analysis) -> Iterator[Item]:
    from m3i_dsl.vocabulary.encoders.catalogue import catalogue

    found = (name for name in catalogue()["models"] if at.written in name)
    for _, name in zip(range(MOST_MODELS), found, strict=False):
        yield Item(name, kind=Icon.Value)


def _names(kinds: Iterable[str], analysis: Analysis) -> Iterator[Item]:
    for (kind, name), declared in analysis.uses.declared.items():
        if kind in kinds:
            first_line = declared.whole.text.splitlines()[0]
            yield Item(name, kind=Icon.Constant if kind == "param" else Icon.Variable, detail=first_line)


def _word(label: str, word: type[Word]) -> Item:
    return Item(
        label,
        kind=Icon.Function if word.parameters() else Icon.Constant,
        detail=word.summary(),
        documentation=_markdown(word_page(word)),
    )


def _markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)
