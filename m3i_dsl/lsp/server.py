"""The server: requests of the protocol to the functions that answer them.

Takes: messages on standard input, or a port. Gives: answers, and diagnostics when the typing pauses. Guarantees: the
diagnostics are of the newest text; a request about a document that is not open is answered with nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.workspace import PositionCodec

from m3i_dsl import __version__
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.lsp import findings, names, outline
from m3i_dsl.lsp.completion import completions
from m3i_dsl.lsp.hover import hover
from m3i_dsl.lsp.places import location, offset, path_of, range_, uri_of, whole
from m3i_dsl.lsp.recipes import Analysis, Recipes
from m3i_dsl.syntax.format import format_text

T = TypeVar("T")

PAUSE = 0.03
"""Seconds without a change after which a text is checked: less than a reader notices, more than a key repeats."""


class Server(LanguageServer):
    """A pygls server with the open recipes."""

    def __init__(self) -> None:
        # Whole texts: a recipe is short, and what ends a line for the client of an edit is not asked.
        super().__init__("m3ic", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.recipes = Recipes()
        self._waiting: asyncio.TimerHandle | None = None
        self._published: set[str] = set()

    @property
    def codec(self) -> PositionCodec:
        """How the client counts characters."""
        return self.workspace.position_codec

    def changed(self) -> None:
        """Something was edited: diagnostics follow when the typing pauses."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = asyncio.get_running_loop().call_later(PAUSE, self.publish)

    def publish(self) -> None:
        """Diagnostics of every open recipe, at the files that they are in."""
        found: dict[str, list[types.Diagnostic]] = {path: [] for path in self.recipes.texts}
        for path in list(self.recipes.texts):
            for file, diagnostics in findings.by_file(self.recipes.analysis(path).diagnostics, self.codec).items():
                found[file] = [*found.get(file, []), *(d for d in diagnostics if d not in found.get(file, []))]
        for path in {*found, *self._published}:
            uri = uri_of(path)
            version = self.workspace.get_text_document(uri).version if path in self.recipes.texts else None
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(uri, found.get(path, []), version=version)
            )
        self._published = {path for path, diagnostics in found.items() if diagnostics}

    def opened(self, uri: str) -> Analysis | None:
        """The analysis of a document, None where it is not open."""
        path = path_of(uri)
        return self.recipes.analysis(path) if path in self.recipes.texts else None

    def at(self, uri: str, where: types.Position) -> tuple[Analysis, int] | None:
        """The analysis of an open document, and the offset of a position in it."""
        analysis = self.opened(uri)
        return None if analysis is None else (analysis, offset(analysis.file, where, self.codec))


def server() -> Server:
    """A server with all its requests."""
    made = Server()
    for register in (_documents, _at_a_place, _of_a_name, _of_a_document):
        register(made)
    return made


def _documents(made: Server) -> None:
    def put(uri: str, text: str) -> None:
        made.recipes.put(path_of(uri), text)
        made.changed()

    @made.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def did_open(given: types.DidOpenTextDocumentParams) -> None:
        put(given.text_document.uri, given.text_document.text)

    @made.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(given: types.DidChangeTextDocumentParams) -> None:
        put(given.text_document.uri, made.workspace.get_text_document(given.text_document.uri).source)

    @made.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def did_close(given: types.DidCloseTextDocumentParams) -> None:
        made.recipes.drop(path_of(given.text_document.uri))
        made.changed()

    @made.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def did_change_files(given: types.DidChangeWatchedFilesParams) -> None:
        made.recipes.forget()
        made.changed()

    _ = (did_open, did_change, did_close, did_change_files)


def _at_a_place(made: Server) -> None:
    @made.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[" ", "(", ",", ":", ".", '"', "|"])
    )
    def completion(given: types.CompletionParams) -> types.CompletionList | None:
        found = made.at(given.text_document.uri, given.position)
        return None if found is None else completions(*found)

    @made.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(given: types.HoverParams) -> types.Hover | None:
        found = made.at(given.text_document.uri, given.position)
        shown = None if found is None else hover(*found)
        if shown is None:
            return None
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, shown[0]), range_(shown[1], made.codec))

    _ = (completion, hovered)


def _of_a_name(made: Server) -> None:
    @made.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(given: types.DefinitionParams) -> types.Location | None:
        found = made.at(given.text_document.uri, given.position)
        span = None if found is None else names.definition(*_users(made, *found))
        return None if span is None else location(span, made.codec)

    @made.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(given: types.ReferenceParams) -> list[types.Location]:
        found = made.at(given.text_document.uri, given.position)
        spans = [] if found is None else names.references(*_users(made, *found))
        return [location(span, made.codec) for span in (spans if given.context.include_declaration else spans[1:])]

    @made.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(given: types.PrepareRenameParams) -> types.Range | None:
        found = made.at(given.text_document.uri, given.position)
        if found is None:
            return None
        path, place = found[0].file.name, found[1]
        spans = names.references(*_users(made, *found))
        return next((range_(s, made.codec) for s in spans if s.file.name == path and s.start <= place <= s.end), None)

    @made.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def rename(given: types.RenameParams) -> types.WorkspaceEdit | None:
        found = made.at(given.text_document.uri, given.position)
        if found is None:
            return None
        try:
            spans = names.renamed(*_users(made, *found), given.new_name)
        except names.Refused as refused:
            raise JsonRpcInvalidParams(str(refused)) from None
        changes: dict[str, list[types.TextEdit]] = {}
        for span in spans:
            edit = types.TextEdit(range_(span, made.codec), given.new_name)
            changes.setdefault(uri_of(span.file.name), []).append(edit)
        return types.WorkspaceEdit(changes=changes)

    _ = (definition, references, prepare_rename, rename)


def _users(made: Server, analysis: Analysis, place: int) -> tuple[list[Analysis], str, int]:
    """The open recipes that read a document, which know what its names mean, and the place in it."""
    path = analysis.file.name
    return made.recipes.users_of(path), path, place


def _of_a_document(made: Server) -> None:
    @made.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(given: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        analysis = made.opened(given.text_document.uri)
        if analysis is None:
            return None
        try:
            text = format_text(analysis.file)
        except RecipeError:
            return None  # what does not parse is left as it is; the diagnostics say why
        return [] if text == analysis.file.text else [types.TextEdit(whole(analysis.file, made.codec), text)]

    @made.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, findings.FIX_ALL]),
    )
    def code_action(given: types.CodeActionParams) -> list[types.CodeAction]:
        return _each(made, given.text_document.uri, lambda a: findings.actions(a, given.range, made.codec))

    @made.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def document_symbol(given: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        return _each(made, given.text_document.uri, lambda a: outline.symbols(a, made.codec))

    @made.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
    def folding_range(given: types.FoldingRangeParams) -> list[types.FoldingRange]:
        return _each(made, given.text_document.uri, outline.folds)

    @made.feature(types.TEXT_DOCUMENT_DOCUMENT_LINK)
    def document_link(given: types.DocumentLinkParams) -> list[types.DocumentLink]:
        return _each(made, given.text_document.uri, lambda a: outline.links(a, made.codec))

    _ = (formatting, code_action, document_symbol, folding_range, document_link)


def _each(made: Server, uri: str, found: Callable[[Analysis], list[T]]) -> list[T]:
    analysis = made.opened(uri)
    return [] if analysis is None else found(analysis)
