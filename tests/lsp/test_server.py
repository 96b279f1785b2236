"""The server as an editor meets it: a process, driven by messages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from tests.lsp.document import PARTS, RECIPE

SERVER = """
import sys
from m3i_dsl.cli.main import main
code = main(["lsp"])
heavy = {"torch", "numpy", "timm", "PIL", "sklearn", "pyarrow"} & {name.split(".")[0] for name in sys.modules}
sys.exit(3 if heavy else code)
"""
"""`m3ic lsp`, which says by its exit code whether it imported anything heavy."""


class Editor:
    """A client with the diagnostics that it was sent, and two documents."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client = client
        self.main, self.parts = ((folder / name).as_uri() for name in ("small.m3i", "parts.m3i"))
        self.published: dict[str, list[types.Diagnostic]] = {}
        self.versions: dict[str, int | None] = {}
        self.news = asyncio.Event()
        self.version = 1

        def published(given: types.PublishDiagnosticsParams) -> None:
            self.published[given.uri] = list(given.diagnostics)
            self.versions[given.uri] = given.version
            self.news.set()

        client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(published)

    async def open(self, uri: str, text: str) -> None:
        document = types.TextDocumentItem(uri, "m3i", self.version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))

    async def change(self, uri: str, text: str) -> None:
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(self.version, uri)
        whole = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [whole]))

    async def told(self) -> list[types.Diagnostic]:
        """The diagnostics of the recipe as it was last sent."""
        while self.versions.get(self.main) != self.version:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 60)
        return self.published[self.main]

    def document(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.main)

    @staticmethod
    def at(text: str, behind: str) -> types.Position:
        """Within the last character of `behind`."""
        before = text[: text.index(behind) + len(behind) - 1]
        return types.Position(before.count("\n"), len(before.rpartition("\n")[2]))


def drive(folder: Path, story: Callable[[Editor], Awaitable[None]]) -> int:
    """Runs `story` against a server of its own; its exit code."""
    return asyncio.run(asyncio.wait_for(_driven(folder, story), 300))


async def _driven(folder: Path, story: Callable[[Editor], Awaitable[None]]) -> int:
    client = LanguageClient("test", "1")
    await client.start_io(sys.executable, "-c", SERVER)
    editor = Editor(client, folder)
    general = types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16])
    capabilities = types.ClientCapabilities(general=general)
    await client.initialize_async(types.InitializeParams(capabilities, root_uri=folder.as_uri()))
    client.initialized(types.InitializedParams())
    await story(editor)
    await client.shutdown_async(None)
    client.exit(None)
    process: Any = client._server  # pyright: ignore[reportPrivateUsage]  # pygls keeps it to itself
    code = await process.wait()
    await client.stop()
    return int(code)


def test_a_session(tmp_path: Path) -> None:
    """Every request once, in the order in which somebody would come to them; and torch is never imported."""

    async def story(editor: Editor) -> None:
        client, document = editor.client, editor.document()
        await editor.open(editor.parts, PARTS)
        await editor.open(editor.main, RECIPE)
        before = await editor.told()
        assert not [d for d in before if d.severity is types.DiagnosticSeverity.Error]

        misspelt = RECIPE.replace("boltzmann", "boltzman")
        await editor.change(editor.main, misspelt)
        (fault,) = [d for d in await editor.told() if d.severity is types.DiagnosticSeverity.Error]
        assert fault.code == "M3I0122" and "did you mean `boltzmann`?" in fault.message
        where = types.CodeActionParams(document, fault.range, types.CodeActionContext([fault]))
        fixes = await client.text_document_code_action_async(where)
        assert fixes is not None
        (quick, every) = fixes
        assert isinstance(quick, types.CodeAction) and isinstance(every, types.CodeAction)
        assert every.kind == "source.fixAll.m3ic"
        assert quick.edit is not None and quick.edit.changes is not None
        (edit,) = quick.edit.changes[editor.main]
        assert (edit.new_text, edit.range) == ("boltzmann", fault.range)

        await editor.change(editor.main, RECIPE)
        assert await editor.told() == before

        place = types.Position(RECIPE[: RECIPE.index("mlp(")].count("\n"), len("    predictor      "))
        offered = await client.text_document_completion_async(types.CompletionParams(document, place))
        assert isinstance(offered, types.CompletionList)
        assert {"mlp", "linear", "decoder"} <= {item.label for item in offered.items}

        over = editor.at(RECIPE, "of mom")
        hovered = await client.text_document_hover_async(types.HoverParams(document, over))
        assert hovered is not None and "encoder momentum" in str(hovered.contents)
        defined = await client.text_document_definition_async(
            types.DefinitionParams(document, editor.at(RECIPE, "crop(si"))
        )
        assert isinstance(defined, types.Location) and defined.uri == editor.parts
        used = await client.text_document_references_async(
            types.ReferenceParams(types.ReferenceContext(True), document, over)
        )
        assert used is not None and len(used) == 2
        changed = await client.text_document_rename_async(types.RenameParams(document, over, "teacher"))
        assert changed is not None and changed.changes is not None and len(changed.changes[editor.main]) == 2
        with pytest.raises(Exception, match="there is an encoder `image` already"):
            await client.text_document_rename_async(types.RenameParams(document, over, "image"))

        symbols = await client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
        assert symbols is not None
        named = {symbol.name: symbol for symbol in symbols}
        assert {"small", "epochs", "view1", "image", "first"} <= set(named)
        children = getattr(named["first"], "children", None)
        assert [child.name for child in children or ()] == ["global"]
        folded = await client.text_document_folding_range_async(types.FoldingRangeParams(document))
        assert folded is not None and len(folded) == 3
        linked = await client.text_document_document_link_async(types.DocumentLinkParams(document))
        assert linked is not None and [link.target for link in linked] == [editor.parts]

        untidy = RECIPE.replace("param epochs = 2", "param   epochs=2")
        await editor.change(editor.main, untidy)
        await editor.told()
        tidied = await client.text_document_formatting_async(
            types.DocumentFormattingParams(document, types.FormattingOptions(2, True))
        )
        assert tidied is not None and [edit.new_text for edit in tidied] == [RECIPE]

        client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(editor.parts)))
        await editor.change(editor.main, RECIPE)
        assert any("parts.m3i" in d.message for d in await editor.told()), "without it there is no such file"

    assert drive(tmp_path, story) == 0
