"""What is known of an open document."""

from __future__ import annotations

import pytest

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import load, parse
from tests.lsp.document import MAIN, PARTS, USED, opened


def test_each_file_is_parsed_once_until_a_text_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counted(file: SourceFile) -> object:
        parsed.append(file.name)
        return parse(file)

    monkeypatch.setattr(load, "parse", counted)
    recipes = opened()
    for _ in range(2):
        assert recipes.analysis(MAIN).tree.declarations and not recipes.analysis(MAIN).diagnostics
    assert parsed == [MAIN, USED]
    recipes.put(USED, PARTS)
    recipes.analysis(MAIN)
    assert parsed == [MAIN, USED] * 2


def test_of_a_part_it_is_said_what_it_cannot_use() -> None:
    (found,) = opened(parts=f'{PARTS}use "gone.m3i"\n').analysis(USED).diagnostics
    assert (found.code, found.span.text) == ("M3I0101", '"gone.m3i"')
