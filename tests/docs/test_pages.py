"""What the pages show is there: their recipes parse, their commands and files exist."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from m3i_dsl.cli.main import COMMANDS, _parser
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse
from tests.architecture.test_imports import ORDER

ROOT = Path(__file__).parents[2]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "tests/README.md", "grammars/SPEC.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
)
"""Every page of the repository."""


def _blocks(page: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^```([\w-]*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def _commands(page: str) -> Iterator[str]:
    """Each command line of the page: of its shell blocks, and in backticks."""
    for language, block in _blocks(page):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                yield from line.partition("#")[0].split("&&")
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if quoted.split()[0] in ("m3ic", "make", "python", "pytest") and " " in quoted:
            yield from quoted.split("&&")


LINES = sorted({(page, line.strip()) for page in PAGES for line in _commands(page) if line.strip()})


def test_pages_have_commands() -> None:
    """If this fails, the tests below look for them in the wrong way."""
    assert {"README.md", "CONTRIBUTING.md", "examples/README.md"} <= {page for page, _ in LINES}
    assert len(LINES) > 15


def _recipes() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for language, block in _blocks(page):
            if language == "m3i" or re.match(r"(m3i 1|recipe|data|view|encoder|objective|train) ?[\w ]*[{\n=]", block):
                yield page, block


def test_recipes_on_the_pages_parse() -> None:
    found = list(_recipes())
    assert found, "the README shows a recipe"
    for page, block in found:
        _, diagnostics = parse(SourceFile(page, block))
        assert [str(diagnostic.message) for diagnostic in diagnostics] == [], page


@pytest.mark.parametrize(("page", "line"), LINES, ids=[line for _, line in LINES])
def test_a_command_exists(page: str, line: str) -> None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    pipe = [list(part) for bar, part in groupby(lexer, "|".__eq__) if not bar]
    for program, *words in pipe:
        _check_program(page, program, words)


def _check_program(page: str, program: str, words: list[str]) -> None:
    match program:
        case "m3ic":
            _check_m3ic(words)
        case "make":
            targets = {word for word in words if "=" not in word}
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
        case "python" | "pytest":
            files = [word for word in words if word.endswith(".py") or word.startswith("tests/")]
            assert all((ROOT / file).exists() for file in files)
        case "jupyter" | "kubectl" | "sbatch" | "sed":
            assert all((ROOT / word).exists() for word in words if word.startswith(("examples/", "recipes/")))
        case "torchrun":
            assert words[words.index("-m") + 1] == "m3i_dsl.train"
            _check_m3ic(["train", *words[words.index("--") + 1 :]])
        case _:
            raise AssertionError(f"{page}: `{program}` is not known to this test")


IMPORT = ["x.pth", "--as", "vit", "-o", "x.safetensors"]


def _check_m3ic(words: list[str]) -> None:
    """The command takes these arguments, and files that it names are there."""
    assert words[0] in COMMANDS
    expanded: list[str] = []
    for word in words:
        expanded += sorted(glob.glob(word, root_dir=ROOT)) if "*" in word and "(" not in word else [word]
    # A command in a sentence may leave out its path, or the value of a flag that it is about.
    assert any(_accepted([*expanded, *more]) for more in ([], ["a.m3i"], ["2"], IMPORT)), f"m3ic {shlex.join(words)}"
    for word in expanded:
        if word.endswith(".m3i") and not word.isupper() and "/" in word:
            assert (ROOT / word).is_file(), word


def _accepted(words: list[str]) -> bool:
    try:
        _parser(words).parse_args(words)
    except SystemExit as fault:
        return fault.code == 0
    return True


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


TOP = "m3i_dsl|recipes|grammars|examples|tests|docs|benchmarks"


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Paths in backticks: from the top, from the package (`passes/pipeline.py`), or from the page's own folder."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    folders = "|".join(path.name for path in (ROOT / "m3i_dsl").iterdir() if path.is_dir())
    for path in re.findall(rf"`((?:{TOP}|{folders})/[\w./*<>-]*)`", text):
        places = (ROOT, ROOT / "m3i_dsl", (ROOT / page).parent)
        assert any(glob.glob(str(place / re.sub(r"<\w+>", "*", path))) for place in places), f"{page}: {path}"


def test_the_phase_table_has_every_folder() -> None:
    """README's table of phases, against the order that tests/architecture holds imports to."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w[\w ]*) \| `m3i_dsl/(\w+)/`", text, flags=re.MULTILINE)
    named = [folder for _, folder in rows] + re.findall(r"Commands are in `m3i_dsl/(\w+)/`", text)
    assert named == [phase for phase in ORDER if (ROOT / "m3i_dsl" / phase).is_dir()]


def test_a_recipe_names_its_result_where_there_is_one() -> None:
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    recipes = [path for folder in ("recipes", "recipes/table") for path in sorted((ROOT / folder).glob("*.m3i"))]
    said = {
        path: re.search(r"^# Result here: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) for path in recipes
    }
    named = {path.relative_to(ROOT).as_posix() for path, line in said.items() if line and line[1] == "docs/results.md"}
    assert named == set(re.findall(r"\(\.\./(recipes/[\w/]+\.m3i)\)", results))
