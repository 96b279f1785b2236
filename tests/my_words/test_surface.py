"""What the package is made of: a word of every kind, on the modules that a word may rely on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from m3i_dsl.vocabulary.packages import entries
from m3i_dsl.vocabulary.registry import KINDS, words
from tests.my_words.conftest import PROJECT
from tests.packages.installed import environment
from tests.packages.surface import STABLE, imported


def test_every_kind_has_a_word() -> None:
    mine = [entry for entry in entries() if entry.package.name == "my-words"]
    assert {entry.kind for entry in mine} == set(KINDS)
    files = {path.stem for path in (PROJECT / "my_words").glob("*.py")} - {"__init__"}
    assert {entry.module for entry in mine} == {f"my_words.{name}" for name in files}, "one file a word"
    for entry in mine:
        word = words(entry.kind)[entry.name]  # pyright: ignore[reportArgumentType]
        assert word.summary().endswith("."), "what `m3ic vocab` shows"
        for parameter in word.parameters():
            numbers = parameter.type.form in ("number", "range", "list", "rate")
            assert not numbers or parameter.bounds.text(""), f"`{parameter.name}` has no bounds"


def test_it_imports_what_a_word_may_rely_on() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT / "my_words").glob("*.py")]
    assert set().union(*map(imported, trees)) == STABLE


def test_check_imports_neither_torch_nor_numpy(site: Path) -> None:
    asked = (
        "import sys; from m3i_dsl.cli.main import main; status = main(['check', sys.argv[1]]); "
        "print(status, sorted({'torch', 'numpy', 'timm'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", asked, str(PROJECT / "rings.m3i")]
    done = subprocess.run(command, env=environment(site), capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
