"""Where things are in the picture: nothing overlaps, every arrow ends at its boxes, every text fits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from m3i_dsl.drawing import FORMATS, place, routes
from m3i_dsl.drawing import layout as layouts
from m3i_dsl.drawing.layers import layered
from m3i_dsl.drawing.layout import layout
from m3i_dsl.drawing.order import order
from m3i_dsl.drawing.text_width import width, wrap
from tests.drawing.geometry import faults
from tests.drawing.programs import NAMES, drawing_of, drawn
from tests.property.recipes import recipes


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_our_recipes_have_no_faults(name: str) -> None:
    assert faults(drawing_of(name)) == []


@settings(max_examples=settings.default.max_examples // 2)
@given(recipes())
def test_any_recipe_is_drawn_without_faults(recipe: str) -> None:
    drawing = drawn(recipe)
    assert faults(drawing) == []
    assert all(render(drawing) for render in FORMATS.values())


def test_names_of_any_length_fit() -> None:
    long = "a_name_that_is_far_longer_than_any_box_would_be_without_it"
    text = (
        f'm3i 1\nrecipe {long}\ndata {long} = embedded("digits")\nview {long} of {long}.image = crop(32px)\n'
        f'encoder {long} = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 1, heads: 3)\n'
        f"objective {long} {{\n  input masked {long} by random(75%)\n  represent dense feature of {long}\n"
        f"  target {long} {{\n    data {long}\n    representation dense pixels\n"
        f"    predictor decoder(layers: 1, heads: 3)\n    regularization none\n    distribution gaussian\n  }}\n}}\n"
        "train {\n  batch 64\n  epochs 1\n  optimizer adamw(lr: 1e-3)\n}\n"
    )
    assert faults(drawn(text)) == []


def test_boxes_that_are_joined_alone_are_on_one_line() -> None:
    placed = layout(drawing_of("recipes/byol.m3i"))
    online = ("view view2", "call image on view view2", "input call image on view view2", "predictor byol.instance")
    assert len({placed.boxes[id_].middle for id_ in online}) == 1


def test_m3i_has_the_one_crossing_that_it_needs_and_its_averages_beside_the_encoder() -> None:
    """Its three predictors read one box and alternate with three targets, so one arrow must cross another."""
    layers = layered(drawing_of("recipes/m3i.m3i"))
    order(layers)
    position = {vertex: at for layer in layers.layers for at, vertex in enumerate(layer)}
    steps = layers.segments()
    crossings = sum(
        layers.vertices[a].layer == layers.vertices[c].layer and position[a] < position[c] and position[b] > position[d]
        for a, b in steps
        for c, d in steps
    )
    assert crossings == 1
    assert [abs(position[a] - position[b]) for a, b in layers.followers] == [1, 1]


@pytest.mark.parametrize(
    ("constant", "value", "fault"),
    [("ROW_GAP", -30.0, "overlaps"), ("LANE_GAP", -30.0, "lane")],
)
def test_a_layout_that_is_too_narrow_would_be_noticed(
    constant: str, value: float, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, constant, value)
    assert any(fault in text for text in faults(drawing_of("recipes/m3i.m3i")))


def test_a_layout_in_one_line_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "place", lambda layers, heights: [0] * len(heights))
    found = faults(drawing_of("recipes/m3i.m3i"))
    for fault in ("overlaps", "passes through", "overlaps lane", "lies on"):
        assert any(fault in text for text in found)


def test_arrows_that_end_apart_from_their_boxes_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "PORTS", 200.0)
    drawing = drawing_of("recipes/m3i.m3i")
    placed = layout(drawing)
    assert faults(drawing) == [], "ports share the height of their box, however far apart they are wanted"
    ends = [
        route.points[-1][1]
        for edge, route in zip(drawing.edges, placed.routes, strict=True)
        if "weighting" in edge.target
    ]
    assert len(set(ends)) == 3


def test_texts_are_measured_and_broken_at_spaces() -> None:
    assert width("iii", 10) < width("MMM", 10)
    assert width("e\u0301", 10) == width("e", 10)
    assert width("\u4e00", 10) > width("a", 10)
    assert wrap("relative positions", 10, 60) == ["relative", "positions"]
    assert wrap("relative positions", 10, 200) == ["relative positions"]
    assert wrap("unbreakable", 10, 5) == ["unbreakable"]
