"""One file for each family of operations: a small recipe and its graph, as the table reads and after the passes.

`families/NAME.m3i` is the recipe, `families/NAME.ir` the text of both graphs without places, which are tested in
`lower/test_provenance.py`. `--bless` writes the second; read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.driver import check_file
from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.ir.text import read, write
from m3i_dsl.passes import run
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile

FOLDER = Path(__file__).parent / "families"
SHARED = "small.m3i"
RECIPES = sorted(path for path in FOLDER.glob("*.m3i") if path.name != SHARED)

BATCH = 8
"""So small that joining calls gains something."""


def program(path: Path) -> Program:
    return check_file(SourceFile(str(path), path.read_text(encoding="utf-8"))).required()


def lines(graph: Graph) -> list[str]:
    """What is of the graph alone: its version and name are those of every graph."""
    return [line.partition("  # ")[0] for line in write(graph).splitlines()[2:]]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_graph(path: Path, bless: bool) -> None:
    stages = run(build(program(path)), BATCH)
    plain, last = stages[0].before, stages[-1].after
    assert read(write(plain)) == plain and read(write(last)) == last
    changing = ", ".join(stage.applied.name for stage in stages if stage.changed)
    found = ["as the table reads:", *lines(plain), ""]
    if changing:
        found += [f"after {changing}:", *(line for line in lines(last) if _moves(line, lines(plain))), ""]
    text = "\n".join(found)
    expected = path.with_suffix(".ir")
    if bless:
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def _moves(line: str, before: list[str]) -> bool:
    """Whether a line stands in the second text: all equations do, of declarations and outputs those that are new."""
    return line.startswith("%") or line not in before


def test_each_operation_is_in_a_file() -> None:
    found = {
        equation.operation
        for path in RECIPES
        for stages in (run(build(program(path)), BATCH),)
        for graph in (stages[0].before, stages[-1].after)
        for equation in graph.equations
    }
    assert found == OPERATIONS.keys()


def test_each_expected_text_is_of_a_recipe() -> None:
    assert {path.stem for path in FOLDER.glob("*.ir")} == {path.stem for path in RECIPES}
