"""The explain pages: their form, and their examples for the codes that the syntax phase reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m3i_dsl.diagnostics import catalogue
from m3i_dsl.diagnostics.catalogue import MAIN_FILE, Example
from m3i_dsl.source import InMemory, SourceFile
from m3i_dsl.syntax.load import load_recipe

PACKAGE = Path(catalogue.__file__).parents[1]

OF_SYNTAX = re.compile(r"M3I00\d\d|M3I010\d")


@pytest.mark.parametrize("code", catalogue.codes())
def test_a_page_has_the_form(code: str) -> None:
    page = catalogue.page(code)
    assert page.code.code == code
    assert not page.code.title.endswith(".")
    assert page.code.title[0].islower() or page.code.title.startswith("`")


def test_names_are_unique() -> None:
    names = [code.name for code in catalogue.codes().values()]
    assert len(set(names)) == len(names)


def _written(folders: tuple[str, ...]) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for folder in folders for path in (PACKAGE / folder).rglob("*.py"))
    return set(re.findall(r'"(M3I\d{4})"', "\n".join(texts)))


def test_every_code_of_the_syntax_phase_has_a_page() -> None:
    written = _written(("source", "diagnostics", "syntax"))
    assert written - set(catalogue.codes()) == set()
    assert {code for code in catalogue.codes() if OF_SYNTAX.fullmatch(code)} - written == set()


def _codes(example: Example) -> list[str]:
    main = SourceFile(MAIN_FILE, example.files[MAIN_FILE])
    return [diagnostic.code for diagnostic in load_recipe(main, InMemory(example.files)).diagnostics]


@pytest.mark.parametrize("code", [code for code in catalogue.codes() if OF_SYNTAX.fullmatch(code)])
def test_the_failing_example_fails_and_the_fixed_one_does_not(code: str) -> None:
    page = catalogue.page(code)
    if page.failing is None or page.fixed is None:
        assert code == "M3I0103", "only a file that is there but cannot be read has no example"
        return
    assert _codes(page.failing) == [code]
    assert _codes(page.fixed) == []


@pytest.mark.parametrize(
    "text",
    [
        "no heading\n",
        "# M3I0099: Name\n\ntitle\n",
        "# M3I0098: name\n\ntitle\n",
        "# M3I0099: name\n\n\n",
    ],
)
def test_a_page_with_another_head_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "M3I0099.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(catalogue, "PAGES", tmp_path)
    with pytest.raises(ValueError, match="M3I0099"):
        catalogue.codes.__wrapped__()


_HEAD = "# M3I0099: name\n\ntitle\n\n"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("## Why it is an error\n\nx\n", "What it means"),
        ("## What it means\n\nx\n", "Why it is an error"),
        ("## What it means\n\nx\n\n## Why it is an error\n\nx\n\n## Failing example\n\n```m3i\nx\n```\n", "fixed"),
        (
            "## What it means\n\nx\n\n## Why it is reported\n\nx\n\n## Failing example\n\nx\n\n## Fixed example\n\nx\n",
            "no ```m3i block",
        ),
    ],
)
def test_a_page_with_another_body_is_refused(
    body: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "M3I0099.md").write_text(_HEAD + body, encoding="utf-8")
    monkeypatch.setattr(catalogue, "PAGES", tmp_path)
    monkeypatch.setattr(catalogue, "codes", catalogue.codes.__wrapped__)
    with pytest.raises(ValueError, match=re.escape(fault)):
        catalogue.page("M3I0099")
