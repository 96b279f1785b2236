"""Pictures of random recipes: whole, connected, and as many runs of encoders as the graph has."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from m3i_dsl.drawing import draw
from m3i_dsl.drawing.dot import render
from m3i_dsl.driver import check_file
from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import ENCODES
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from m3i_dsl.source import SourceFile
from m3i_dsl.testing.strategies import recipes


@settings(max_examples=40)
@given(recipes())
def test_a_random_recipe_is_drawn_as_it_is_computed(text: str) -> None:
    program = check_file(SourceFile("recipe.m3i", text)).required()
    drawing = draw(program)
    leads = {"total"}
    for _ in drawing.nodes:
        leads |= {edge.source for edge in drawing.edges if edge.target in leads}
    assert leads == {node.id for node in drawing.nodes}
    for edge in drawing.edges:
        order = drawing.column(drawing.node(edge.source)), drawing.column(drawing.node(edge.target))
        assert edge.kind != "flow" or order[0] < order[1]
    assert render(drawing)
    graph = common_subexpressions(build(program))
    called = Counter(str(e.attribute("module")) for e in graph.equations if e.operation in ENCODES)
    drawn: Counter[str] = Counter()
    for node in drawing.of_kind("call"):
        drawn[node.title] += node.count
    fed = {edge.target for edge in drawing.edges if edge.kind == "flow"}
    unread = {node.title for node in drawing.of_kind("call") if node.id not in fed}
    assert set(called) == set(drawn) - unread
    # A symmetric objective is drawn by half, and the mix of each objective has its own box.
    if len(program.objectives) == 1 and not program.objectives[0].symmetric:
        assert called == Counter({name: count for name, count in drawn.items() if name not in unread})
