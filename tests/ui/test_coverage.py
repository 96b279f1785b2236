"""The golden files are complete: no stray ones, and every code of the syntax phase is shown at least once."""

from __future__ import annotations

import re
from pathlib import Path

from m3i_dsl.diagnostics import catalogue

FOLDER = Path(__file__).parent


def test_every_golden_file_has_its_recipe() -> None:
    stray = [path.name for path in FOLDER.rglob("*.stderr") if not path.with_suffix(".m3i").exists()]
    assert stray == []


def test_every_syntax_code_is_shown() -> None:
    shown = set(re.findall(r"\[(M3I\d{4})\]", "".join(p.read_text("utf-8") for p in FOLDER.rglob("*.stderr"))))
    codes = {code for code in catalogue.codes() if re.fullmatch(r"M3I00\d\d|M3I010\d", code)}
    assert codes - shown == set()
