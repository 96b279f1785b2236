"""The text of a graph: what another version has written is not guessed at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.driver import check_file
from m3i_dsl.ir.build import build
from m3i_dsl.ir.text import read, write
from m3i_dsl.source import SourceFile

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "mae.m3i"


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r", shared: \w+", "", "`predict_at` has `module`, `prefix`, `rows`, `columns`,"),
        (r"= patchify\(", "= unfold(", "unknown operation `unfold`"),
    ],
)
def test_a_graph_of_another_version_is_to_be_compiled_again(pattern: str, replacement: str, message: str) -> None:
    text = write(build(check_file(SourceFile(str(RECIPE), RECIPE.read_text(encoding="utf-8"))).required()))
    with pytest.raises(RecipeError) as raised:
        read(re.sub(pattern, replacement, text))
    (found,) = raised.value.diagnostics
    assert found.code == "M3I0401" and message in found.message
    assert "compile the recipe again" in found.helps[0]
