"""What a drawing says about a recipe."""

from __future__ import annotations

from collections import Counter

import pytest

from m3i_dsl.drawing import Drawing, Edge
from m3i_dsl.drawing.symbols import heading
from m3i_dsl.ir.build import build
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from tests.drawing.programs import NAMES, ROOT, drawing_of, drawn, program_of

M3I = "recipes/m3i.m3i"
EMA = "EMA 0.996 \u2192 1 cosine"


def _edges(drawing: Drawing, *, source: str = "", target: str = "") -> list[Edge]:
    return [edge for edge in drawing.edges if source in edge.source and target in edge.target]


def test_m3i_has_a_branch_for_each_encoder_and_a_group_for_each_target() -> None:
    drawing = drawing_of(M3I)
    kinds = Counter(node.kind for node in drawing.nodes)
    assert kinds == {
        "data": 1,
        "view": 2,
        "field": 1,
        "mix": 1,
        "call": 3,
        "input": 1,
        "predictor": 3,
        "target": 3,
        "loss": 3,
        "weighting": 1,
        "total": 1,
    }
    calls = [(node.symbol, node.title, node.branch) for node in drawing.of_kind("call")]
    assert calls == [
        ("f_theta", "image", "online"),
        ("f_phi", "momentum", "average"),
        ("f_phi", "momentum", "average"),
    ]
    assert [group.label for group in drawing.groups] == [
        "intra: view1 of first",
        "inter: view2 of second",
        "category: category of first, category of second",
    ]
    for group in drawing.groups:
        assert [drawing.node(id_).kind for id_ in group.nodes] == ["predictor", "target", "loss"]
        assert {drawing.node(id_).group for id_ in group.nodes} == {group.id}
    assert {node.symbol for node in drawing.of_kind("loss")} == {"-log P"}
    assert [node.title for node in drawing.of_kind("loss")] == ["gaussian", "gaussian", "boltzmann"]


def test_the_mixed_input_is_encoded_once_and_feeds_each_predictor() -> None:
    drawing = drawing_of(M3I)
    (features,) = drawing.of_kind("input")
    assert features.symbol == "z_x"
    assert [drawing.node(edge.target).kind for edge in _edges(drawing, source=features.id)] == ["predictor"] * 3
    (into,) = _edges(drawing, target=features.id)
    assert drawing.node(into.source).symbol == "f_theta"
    (mixed,) = [edge for edge in drawing.edges if drawing.node(edge.target).kind == "mix"]
    assert (mixed.source, mixed.label) == ("view view1", "first, second")
    assert drawing.of_kind("mix")[0].details == ("blocks 50%",)


def test_the_average_follows_the_online_encoder_with_its_ramp() -> None:
    drawing = drawing_of(M3I)
    averages = [edge for edge in drawing.edges if edge.kind == "average"]
    assert [edge.label for edge in averages] == [EMA, EMA]
    assert {drawing.node(edge.source).title for edge in averages} == {"image"}
    assert {edge.target for edge in averages} == {n.id for n in drawing.of_kind("call") if n.title == "momentum"}


def test_gradients_stop_where_the_recipe_says_so() -> None:
    stopped = [edge for edge in drawing_of(M3I).edges if edge.stop_gradient]
    assert [(edge.source, edge.target) for edge in stopped] == [
        ("target m3i.intra", "loss m3i.intra"),
        ("target m3i.inter", "loss m3i.inter"),
    ]


def test_an_average_has_no_gradient_even_if_no_row_says_so() -> None:
    drawing = drawing_of("recipes/densecl.m3i")
    stopped = [edge for edge in drawing.edges if edge.stop_gradient]
    assert [edge.target for edge in stopped] == ["target densecl.instance", "target densecl.dense"]
    assert all(drawing.node(edge.source).branch == "average" for edge in stopped)


def test_gradients_stop_nowhere_in_barlow_twins_and_clip() -> None:
    for name in ("recipes/barlow_twins.m3i", "recipes/clip.m3i"):
        assert not any(edge.stop_gradient for edge in drawing_of(name).edges)


def test_both_runs_of_barlow_twins_are_of_the_trained_encoder_and_its_projector() -> None:
    drawing = drawing_of("recipes/barlow_twins.m3i")
    assert [(node.symbol, node.branch) for node in drawing.of_kind("call")] == [("f_theta", "online")] * 2
    assert [(node.symbol, node.details) for node in drawing.of_kind("projector")] == [
        ("g_theta", ("GAP, 3 layers",)),
        ("g_theta", ("GAP, 3 layers",)),
    ]
    (last,) = _edges(drawing, target="total")
    assert last.label == "\u00d7 0.00390625"


def test_mae_predicts_pixels_of_its_own_view() -> None:
    drawing = drawing_of("recipes/mae.m3i")
    (mask,) = drawing.of_kind("mask")
    assert mask.details == ("random 75%", "drop tokens")
    assert [edge.target for edge in _edges(drawing, source="view view1")] == [mask.id, "target mae.pixels"]
    assert drawing.of_kind("loss")[0].details == ("hidden tokens only",)
    assert not drawing.of_kind("weighting", "projector")


def test_byol_is_drawn_forward_and_says_that_it_is_symmetric() -> None:
    drawing = drawing_of("recipes/byol.m3i")
    assert len(drawing.of_kind("call")) == 2
    (note,) = drawing.notes
    assert note.startswith("byol is symmetric")
    assert drawing.groups[0].label == "instance: view2 \u21c4 view1"


def test_clip_has_a_branch_of_text() -> None:
    drawing = drawing_of("recipes/clip.m3i")
    assert [(n.title, n.branch) for n in drawing.of_kind("call")] == [("image", "online"), ("words", "text")]
    assert drawing.of_kind("target")[0].branch == "text"
    assert "both directions" in drawing.of_kind("loss")[0].details


@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_an_encoder_is_drawn_once(name: str) -> None:
    """As many as the graph has calls once equal ones are shared; a symmetric recipe is drawn by half.

    One that a stage before has trained is drawn as well, as what a copy is of, and is fed with nothing.
    """
    graph = common_subexpressions(build(program_of(name)))
    calls = [equation for equation in graph.equations if equation.operation in ("encode", "encode_text")]
    halves = 2 if program_of(name).objectives[0].symmetric else 1
    drawing = drawing_of(name)
    fed = {edge.target for edge in drawing.edges}
    assert sum(node.count for node in drawing.of_kind("call") if node.id in fed) * halves == len(calls)


@pytest.mark.parametrize("name", NAMES)
def test_everything_drawn_leads_to_the_total(name: str) -> None:
    drawing = drawing_of(name)
    leads = {"total"}
    for _ in drawing.nodes:
        leads |= {edge.source for edge in drawing.edges if edge.target in leads}
    assert leads == {node.id for node in drawing.nodes}
    assert all(heading(node) for node in drawing.nodes)


def test_lines_are_those_of_the_recipe() -> None:
    lines = (ROOT / M3I).read_text(encoding="utf-8").splitlines()
    drawing = drawing_of(M3I)
    for node in drawing.of_kind("predictor", "loss", "mix"):
        assert node.title in lines[node.line - 1]
    assert {node.line for node in drawing.of_kind("view", "call")} == {0}, "these are in files that it uses"


TWO = """\
m3i 1
recipe two
data digits = embedded("digits")
view view1 of digits.image = crop(32px)
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 1, heads: 3)
encoder still = frozen of image
objective first {
  input view1
  represent dense feature of image
  target own {
    data view1
    representation dense feature of still
    predictor mlp
    regularization stop gradient
    distribution gaussian
    weight 2
  }
}
objective second {
  input view1
  represent dense feature of image
  target label {
    data category
    representation category embedding
    predictor mlp
    regularization negative categories
    distribution boltzmann
  }
}
train {
  batch 64
  epochs 1
  optimizer adamw(lr: 1e-3)
}
"""


def test_two_objectives_share_a_run_and_are_added() -> None:
    drawing = drawn(TWO)
    assert [node.title for node in drawing.of_kind("call")] == ["image", "still"]
    assert len(drawing.of_kind("input")) == 1
    assert [group.label for group in drawing.groups] == ["first.own: view1", "second.label: category"]
    assert [(e.source, e.label) for e in _edges(drawing, target="total")] == [
        ("loss first.own", "\u00d7 2"),
        ("loss second.label", ""),
    ]
    assert [edge.label for edge in drawing.edges if edge.kind == "copy"] == ["copy"]


CROPS = """m3i 1
recipe crops
data digits = embedded("digits")
views global[2] of digits.image = crop(32px)
views local[8] of digits.image = crop(16px)
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3)
encoder momentum = ema of image(0.99)
objective o {
  input global, local
  represent dense feature of image
  target t {
    data DATA
    representation global feature of momentum
    predictor mlp
    regularization stop gradient
    distribution gaussian
  }
}
train {
  batch 64
  epochs 1
  optimizer adamw(lr: 1e-3)
}
"""


def test_a_list_of_views_is_one_box_and_so_are_the_runs_on_it() -> None:
    drawing = drawn(CROPS.replace("DATA", "global"))
    assert [(node.title, node.count) for node in drawing.of_kind("view")] == [("global", 2), ("local", 8)]
    calls = [(node.title, node.count, node.details[1]) for node in drawing.of_kind("call")]
    grids = [f"{side}\u00d7{side} tokens, 36 wide" for side in (4, 2)]
    assert calls == [("image", 2, grids[0]), ("image", 8, grids[1]), ("momentum", 2, grids[0])]
    assert len(_edges(drawing, target="input ")) == 2
    assert any("all other views" in note for note in drawing.notes)


def test_a_list_that_is_named_in_part_is_drawn_view_by_view() -> None:
    drawing = drawn(CROPS.replace("DATA", "global[1]"))
    views = [(node.title, node.count) for node in drawing.of_kind("view")]
    assert sorted(views) == [("global[0]", 1), ("global[1]", 1), ("local", 8)]


def test_an_input_that_predicts_nothing_is_not_encoded() -> None:
    """`global[1]` has no other view to predict: the only target is of itself."""
    drawing = drawn(CROPS.replace("DATA", "global[1]"))
    assert {node.id for node in drawing.of_kind("call")} == {
        "call image on view global[0]",
        "call image on view local",
        "call momentum on view global[1]",
    }


def test_each_of_several_inputs_has_its_own_mask() -> None:
    masked = CROPS.replace("input global, local", "input masked global by random(50%), masked local by blocks(25%)")
    drawing = drawn(masked.replace("DATA", "global").replace("blocks(25%)", "blocks(25%, minimum: 1)"))
    assert [(node.details, node.count) for node in drawing.of_kind("mask")] == [
        (("random 50%", "drop tokens"), 2),
        (("blocks 25%", "drop tokens"), 8),
    ]
    runs = [[drawing.node(edge.source).kind for edge in _edges(drawing, target=n.id)] for n in drawing.of_kind("call")]
    assert runs == [["mask"], ["mask"], ["view", "call"]]
    assert {edge.target for edge in _edges(drawing, source="view local")} == {drawing.of_kind("mask")[1].id}


def test_a_list_under_two_masks_is_drawn_view_by_view() -> None:
    masks = "masked global[0] by random(50%), masked global[1] by random(25%), local"
    drawing = drawn(CROPS.replace("input global, local", f"input {masks}").replace("DATA", "global"))
    assert [(node.details[0], node.count) for node in drawing.of_kind("mask")] == [("random 50%", 1), ("random 25%", 1)]
    assert len(_edges(drawing, target="input ")) == 3


def test_a_list_that_is_masked_in_part_is_drawn_view_by_view() -> None:
    masks = "masked global[0] by random(50%), global[1], local"
    drawing = drawn(CROPS.replace("input global, local", f"input {masks}").replace("DATA", "global"))
    (mask,) = drawing.of_kind("mask")
    assert [edge.source for edge in _edges(drawing, target=mask.id)] == ["view global[0]", mask.id]
    assert ("view global[1]", "call image on view global[1]") in {(e.source, e.target) for e in drawing.edges}


def test_the_projector_of_a_target_says_how_its_input_is_pooled() -> None:
    details = {(node.symbol, node.details) for node in drawing_of("recipes/dino.m3i").of_kind("projector")}
    assert details == {("g_theta", ("class token, 3 layers",)), ("g_phi", ("class token, 3 layers",))}
