"""Lists of views and several inputs in the checker: what a recipe means, and that `resolve` says the same."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file, graphs, resolve
from m3i_dsl.ir.text import without_places, write
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value

RECIPE = """m3i 1
recipe crops

param crops = 4

data digits = embedded("digits")

view  whole        of digits.image = crop(32px)
views global[2]    of digits.image = crop(32px) | flip
views local[crops] of digits.image = crop(16px) | flip

encoder image    = ENCODER
encoder momentum = ema of image(0.99)

objective o {
  input     INPUT
  represent dense feature of image

  target t {
    data           DATA
    representation global feature of momentum
    predictor      mlp
    regularization stop gradient
    distribution   gaussian
  }
}

train {
  batch     64
  epochs    10
  optimizer adamw(lr: 1e-3)
}
"""

VIT = 'timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3)'


def program(input_: str, data: str, encoder: str = VIT, **settings: str) -> Program:
    text = RECIPE.replace("INPUT", input_).replace("DATA", data).replace("ENCODER", encoder)
    values = {name: parse_value(value) for name, value in settings.items()}
    return check_file(SourceFile("crops.m3i", text), values).required()


def pairs(of: Program) -> list[tuple[str, str]]:
    (objective,) = of.objectives
    (target,) = objective.targets
    return [
        (shown.view.name, reference.view.name)
        for reference in target.data
        if reference.view is not None
        for shown in objective.predictors_of(target, reference)
    ]


def test_a_list_stands_for_its_views_and_no_view_predicts_itself() -> None:
    of = program("global, local[1], local[3]", "global[1], whole")
    assert pairs(of) == [
        *((shown, "global[1]") for shown in ("global[0]", "local[1]", "local[3]")),
        *((shown, "whole") for shown in ("global[0]", "global[1]", "local[1]", "local[3]")),
    ]
    assert len(pairs(program("global, local", "global", crops="6"))) == 8 * 2 - 2


def test_one_input_predicts_what_it_is_told_to() -> None:
    """Targets of the input's own view are left out beside other inputs only."""
    assert pairs(program("global[0]", "global")) == [("global[0]", "global[0]"), ("global[0]", "global[1]")]


@pytest.mark.parametrize(
    ("input_", "data"),
    [("global, local", "global"), ("local, whole", "whole, global[1]"), ("local[2], local[0], global", "global")],
)
def test_resolve_means_the_same_graph(input_: str, data: str) -> None:
    of = program(input_, data)
    text = resolve(of)
    assert "views local[4] of" in text
    assert f"input     {input_}\n" in text
    again = check_file(SourceFile("crops.m3i", text)).required()
    assert without_places(write(graphs(again)[0])) == without_places(write(graphs(of)[0]))


def test_models_of_convolutions_take_other_sizes_and_an_average_the_own_one() -> None:
    sizes = {
        str(equation.results[0].type)
        for equation in graphs(program("global, local", "global", RESNET))[0].equations
        if equation.operation == "encode"
    }
    assert sizes == {"f32[B, 16, 512]", "f32[B, 4, 512]"}


RESNET = 'timm("resnet18", image: 32px, stride: 8px)'
