"""What holds for any right recipe: its canonical text is right and final, its graphs are read back from their text."""

from __future__ import annotations

from hypothesis import given

from m3i_dsl.diagnostics import Severity, render
from m3i_dsl.driver import check_file, resolve
from m3i_dsl.ir import text
from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import Graph, encoder_calls
from m3i_dsl.passes import optimize
from m3i_dsl.semantics.program import Program
from m3i_dsl.semantics.table import rows
from m3i_dsl.source import SourceFile
from tests.property.recipes import recipes


def _program(recipe: str) -> Program:
    checked = check_file(SourceFile("recipe.m3i", recipe))
    errors = [diagnostic for diagnostic in checked.diagnostics if diagnostic.severity is Severity.ERROR]
    assert not errors, f"{render(errors)}\n{recipe}"
    return checked.required()


@given(recipes())
def test_the_canonical_text_is_right_and_final(recipe: str) -> None:
    program = _program(recipe)
    canonical = resolve(program)
    again = _program(canonical)
    assert resolve(again) == canonical
    assert rows(again) == rows(program)


@given(recipes())
def test_the_canonical_text_means_the_same(recipe: str) -> None:
    """The graphs of both are equal but for the lines that they came from."""
    program = _program(recipe)
    ours, theirs = (optimize(build(p), p.training.batch) for p in (program, _program(resolve(program))))
    assert text.without_places(text.write(ours)) == text.without_places(text.write(theirs))


@given(recipes())
def test_graphs_are_read_back_from_their_text(recipe: str) -> None:
    program = _program(recipe)
    plain = build(program)
    for graph in (plain, optimize(plain, 1), optimize(plain, program.training.batch)):
        assert text.read(text.write(graph)) == graph


@given(recipes())
def test_passes_keep_what_is_computed(recipe: str) -> None:
    program = _program(recipe)
    plain, batch = build(program), program.training.batch
    optimized = optimize(plain, batch)
    assert _outputs(optimized) == _outputs(plain)
    assert encoder_calls(optimized) <= encoder_calls(plain)
    assert optimize(optimized, batch) == optimized
    assert {i.source for i in optimized.inputs} <= {i.source for i in plain.inputs}
    assert optimized.modules == plain.modules


def _outputs(graph: Graph) -> list[tuple[str, str]]:
    return [(name, str(value.type)) for name, value in graph.outputs]
