"""Every code about artifacts that is reported has a page, and every such page has a code that is reported."""

from __future__ import annotations

import re
from pathlib import Path

import m3i_dsl.artifact
from m3i_dsl.diagnostics.catalogue import codes, page

FOLDER = Path(m3i_dsl.artifact.__file__).parent
QUOTED = re.compile(r'"(M3I06\d\d)"')


def test_codes_and_pages_agree() -> None:
    reported = {code for path in FOLDER.glob("*.py") for code in QUOTED.findall(path.read_text(encoding="utf-8"))}
    assert reported == {code for code in codes() if code.startswith("M3I06")}


def test_pages_have_the_form() -> None:
    for code in codes():
        if code.startswith("M3I06"):
            assert page(code).failing is None
            assert "## What to do" in page(code).markdown
