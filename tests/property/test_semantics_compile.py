"""What is checked compiles: the shape rules of the checker and of the IR agree with torch on the meta device."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings

from m3i_dsl.driver import check_file, compile_program
from m3i_dsl.source import SourceFile
from tests.property.recipes import recipes


@settings(max_examples=settings.default.max_examples // 5)  # each builds its encoders
@given(recipes())
def test_a_recipe_without_errors_compiles(recipe: str) -> None:
    program = check_file(SourceFile("recipe.m3i", recipe)).required()
    compiled = compile_program(program, Path())
    assert {f"losses/{o.name}.{t.name}" for o in program.objectives for t in o.targets} <= {
        name for name, _ in compiled.graph.outputs
    }
