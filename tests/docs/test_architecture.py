"""docs/architecture.md holds against the code: every name on it is defined where it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STOPS = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)))


def test_the_page_has_stops() -> None:
    """If this fails, the test below looks for them in the wrong way."""
    assert len(STOPS) > 25
    assert PAGE.count("```mermaid") == 4


@pytest.mark.parametrize(("file", "name"), STOPS, ids=[f"{file}:{name}" for file, name in STOPS])
def test_a_stop_is_where_the_page_says(file: str, name: str) -> None:
    body = ast.parse((ROOT / "m3i_dsl" / file).read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        assert found, f"{file} does not define {name}"
        body = found[0].body


def test_classes_in_the_drawings_exist() -> None:
    """What a box is called in CamelCase is a class of the package."""
    drawn = "\n".join(re.findall(r"^```mermaid\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", drawn)) - {"Programs"}
    defined = {
        node.name
        for path in (ROOT / "m3i_dsl").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert named and named <= defined, named - defined
