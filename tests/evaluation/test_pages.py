"""Every code about evaluation and export that is reported has a page, and every such page a code that is reported."""

from __future__ import annotations

import re
from pathlib import Path

import m3i_dsl.evaluation
from m3i_dsl.diagnostics.catalogue import codes, page

FOLDER = Path(m3i_dsl.evaluation.__file__).parent
OURS = re.compile(r"M3I07[5-7]\d")


def test_codes_and_pages_agree() -> None:
    reported = set(re.findall(r'"(M3I\d{4})"', (FOLDER / "errors.py").read_text(encoding="utf-8")))
    assert reported == {code for code in codes() if OURS.fullmatch(code)}
    constants = re.findall(r"^([A-Z_]+) = \"M3I", (FOLDER / "errors.py").read_text(encoding="utf-8"), re.MULTILINE)
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in [*FOLDER.glob("*.py"), *(FOLDER.parent / "cli").glob("*.py")]
        if path.name != "errors.py"
    )
    assert [name for name in constants if f"errors.{name}" not in code] == []


def test_pages_have_the_form() -> None:
    for code in codes():
        if OURS.fullmatch(code):
            assert page(code).failing is None
            assert "## What to do" in page(code).markdown
