"""Every default that is in force is listed with its source, and nothing that the recipe writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.driver import check_file, resolve
from m3i_dsl.semantics.origins import defaults
from m3i_dsl.source import SourceFile, read_file

RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "recipes").rglob("*.m3i") if "recipe " in path.read_text("utf-8")
)

RECIPE = """
m3i 1
recipe example

data digits = embedded("digits")

view view1 of digits.image = resize(32px)

encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)

objective o {
  input     masked view1
  represent dense feature of image

  target t {
    data           view1
    representation dense pixels(true)
    predictor      decoder(2, heads: 3)
    regularization none
    distribution   gaussian
  }
}

train {
  batch     64
  epochs    10
  optimizer adamw(lr: 1e-3, betas: (0.9, 0.95))
}
"""


def test_defaults_of_arguments_and_settings_are_listed_with_their_origins() -> None:
    text = RECIPE.replace("masked view1", "masked view1 by blocks(minimum: 2)")
    listed = [(d.where, d.text, d.origin) for d in defaults(check_file(SourceFile("r.m3i", text)).required())]
    assert ("objective o: blocks.ratio", "60%", "SiameseIM") in listed
    assert ("target t: decoder.position", "absolute", "MAE") in listed
    assert ("target t: gaussian.reduction", "mean", "SiameseIM") in listed
    assert ("target t: weight", "1", "our choice") in listed
    assert ("objective o: weighting", "fixed", "our choice") in listed
    assert ("train: warmup", "0%", "our choice") in listed
    assert ("train: precision", "fp32", "our choice") in listed
    assert not [where for where, _, _ in listed if where.endswith((".minimum", ".betas", ".layers", ".heads"))]


def test_a_predictor_and_a_mask_that_are_left_out_are_listed_whole() -> None:
    text = RECIPE.replace("    predictor      decoder(2, heads: 3)\n", "").replace("8px", "4px")
    listed = {d.where: d.text for d in defaults(check_file(SourceFile("r.m3i", text)).required())}
    assert listed["target t: predictor"].startswith("decoder(layers: 8, heads: 16, position: absolute")
    assert listed["objective o: by"].startswith("blocks(ratio: 60%")


def test_what_an_objective_leaves_out_is_listed_until_it_is_written() -> None:
    text = RECIPE.replace("masked view1", "view1").replace("dense pixels(true)", "global feature of image")
    text = text.replace("decoder(2, heads: 3)", "linear").replace("none", "stop gradient")

    def listed(distribution: str, regularization: str = "stop gradient", more: str = "") -> set[tuple[str, str, str]]:
        changed = text.replace("gaussian", distribution).replace("stop gradient", regularization)
        changed = changed.replace("  input", f"{more}  input")
        checked = check_file(SourceFile("r.m3i", changed.replace("data           view1", "data           view2")))
        return {(d.where, d.text, d.origin) for d in defaults(checked.required())}

    text = text.replace("encoder image", "view view2 of digits.image = resize(32px)\n\nencoder image")
    symmetric = ("objective o: symmetric", "false", "our choice")
    candidates = ("target t: candidates", "the targets of the batch", "paper")
    assert {symmetric, candidates} <= listed("boltzmann")
    assert symmetric not in listed("boltzmann", more="  symmetric true\n")
    assert candidates not in listed("gaussian") | listed("boltzmann", "stop gradient + negative samples")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_canonical_text_leaves_nothing_to_a_default(path: Path) -> None:
    """But what no text can say: that there is no clipping, and the candidates of the row Global Distillation."""
    canonical = resolve(check_file(read_file(path)).required())
    left = [d.where for d in defaults(check_file(SourceFile("r.m3i", canonical)).required())]
    assert [where for where in left if where != "train: clip" and not where.endswith(": candidates")] == []
