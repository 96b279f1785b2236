"""The picture of a mixture says which source feeds which target."""

from __future__ import annotations

from m3i_dsl.drawing import FORMATS, draw
from tests.numerics.mixture import program


def test_a_field_comes_from_the_sources_that_have_it() -> None:
    drawing = draw(program())
    (mixed,) = drawing.of_kind("mixture")
    assert mixed.details == ("both 33.3%", "photos 33.3%", "pairs 33.3%")
    arrows = {(edge.source, edge.target) for edge in drawing.edges}
    assert {source for source, target in arrows if target == mixed.id} == {"data both", "data photos", "data pairs"}
    assert {source for source, target in arrows if target == "view view1"} == {mixed.id}
    assert {source for source, target in arrows if target == "field all.text"} == {"data both", "data pairs"}
    assert {source for source, target in arrows if target == "field all.category"} == {"data both", "data photos"}


def test_every_format_shows_the_mixture() -> None:
    drawing = draw(program())
    for render in FORMATS.values():
        assert "pairs 33.3%" in render(drawing)
