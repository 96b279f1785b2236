"""No text and no place make a request fail, and diagnostics are those of `m3ic check`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from lsprotocol.types import PositionEncodingKind
from pygls.workspace import PositionCodec

from m3i_dsl.driver import check_file
from m3i_dsl.lsp import findings, names, outline
from m3i_dsl.lsp.completion import completions
from m3i_dsl.lsp.hover import hover
from m3i_dsl.lsp.places import whole
from m3i_dsl.lsp.recipes import Recipes
from m3i_dsl.scaffold.shipped import shipped
from m3i_dsl.source import SourceFile

CODEC = PositionCodec(PositionEncodingKind.Utf16)
SHIPPED = [recipe.path for recipe in shipped() if "/" not in recipe.name]
PIECES = (
    "(",
    ")",
    "{",
    "}",
    '"',
    "|",
    ",",
    ":",
    "of ",
    " by ",
    "\n",
    "\r\n",
    "\U0001f600",
    "#",
    "=",
    "param ",
    "mlp(",
    "3px",
)


def edited(text: str, choose: random.Random) -> tuple[str, int]:
    """The text with one edit as somebody types, and where."""
    place = choose.randrange(len(text) + 1)
    match choose.randrange(3):
        case 0:
            return text[:place] + choose.choice(PIECES) + text[place:], place
        case 1:
            return text[:place] + text[place + choose.randrange(1, 30) :], place
        case _:
            return text[:place], place


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_random_edits(path: Path) -> None:
    choose = random.Random(path.name)
    recipes = Recipes()
    for _ in range(6):
        text, place = edited(path.read_text(encoding="utf-8"), choose)
        recipes.put(str(path), text)
        analysis = recipes.analysis(str(path))
        assert list(analysis.diagnostics) == list(check_file(SourceFile(str(path), text)).diagnostics) or (
            analysis.checked is None
        )
        findings.by_file(analysis.diagnostics, CODEC)
        findings.actions(analysis, whole(analysis.file, CODEC), CODEC)
        outline.symbols(analysis, CODEC)
        outline.folds(analysis)
        outline.links(analysis, CODEC)
        for offset in (place, choose.randrange(len(text) + 1)):
            completions(analysis, offset)
            hover(analysis, offset)
            for span in names.references(recipes.users_of(str(path)), str(path), offset):
                assert span.text.isidentifier()
