"""Each file that an encoder reads is hashed, or named at the argument that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl import driver
from m3i_dsl.artifact.lock import file_sha256
from m3i_dsl.data.describe import describe_data
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.source import SourceFile

RECIPE = """
m3i 1
recipe distilled

data digits = embedded("digits")
view view1 of digits.image = crop(32px)

encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3,
  weights: "start.safetensors")
encoder teacher = frozen of image("teacher.safetensors")

objective features {
  input     masked view1 by random(75%)
  represent dense feature of image

  target tokens {
    data           view1
    representation dense feature of teacher
    predictor      decoder(layers: 1, heads: 3)
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


def test_a_copy_and_what_it_copies_each_have_their_file(tmp_path: Path) -> None:
    program = driver.check_file(SourceFile("distilled.m3i", RECIPE)).required()
    graph = driver.graphs(program)[1]
    with pytest.raises(RecipeError) as caught:
        describe_data(program, graph, tmp_path)
    shown = [(found.code, found.span.text) for found in caught.value.diagnostics]
    assert shown == [("M3I0504", '"start.safetensors"'), ("M3I0504", '"teacher.safetensors"')]
    for name in ("start", "teacher"):
        (tmp_path / f"{name}.safetensors").write_text(name, encoding="utf-8")
    files = describe_data(program, graph, tmp_path).files
    assert files == {name: file_sha256(tmp_path / name) for name in ("start.safetensors", "teacher.safetensors")}


def test_a_file_that_a_copy_needs_too_is_missed_once(tmp_path: Path) -> None:
    text = RECIPE.replace("teacher.safetensors", "start.safetensors")
    program = driver.check_file(SourceFile("distilled.m3i", text)).required()
    with pytest.raises(RecipeError) as caught:
        describe_data(program, driver.graphs(program)[1], tmp_path)
    assert [found.code for found in caught.value.diagnostics] == ["M3I0504"]


CONTRAST = """
m3i 1
recipe contrast

data digits = embedded("digits")
view view1 of digits.image = crop(32px, scale: 50%..100%)
view view2 of digits.image = crop(32px, scale: 50%..100%)
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)
encoder momentum = ema of image(0.99)

objective contrast {
  input     view1
  represent dense feature of image

  target instance {
    data           view2
    representation global feature of momentum
    predictor      mlp(hidden: 96)
    regularization negative samples(queue: 640)
    distribution   boltzmann(temperature: 0.2)
  }
}

train {
  batch     64
  epochs    10, warmup 1 epochs
  optimizer adamw(lr: 1e-3)
}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("queue: 640", "queue: 1408", []),
        ("queue: 640", "queue: 1472", [("M3I0505", "1472")]),
        ("epochs    10, warmup 1 epochs", "epochs 1, warmup 22 steps", []),
        ("epochs    10, warmup 1 epochs", "epochs 1, warmup 23 steps", [("M3I0203", "warmup 23 steps")]),
        ("epochs    10, warmup 1 epochs", "steps 10, warmup 1 epochs", [("M3I0203", "warmup 1 epochs")]),
        ("epochs    10, warmup 1 epochs", "samples 640, warmup 11 steps", [("M3I0203", "warmup 11 steps")]),
    ],
)
def test_what_needs_the_number_of_samples(tmp_path: Path, old: str, new: str, said: list[tuple[str, str]]) -> None:
    program = driver.check_file(SourceFile("contrast.m3i", CONTRAST.replace(old, new))).required()
    try:
        describe_data(program, driver.graphs(program)[1], tmp_path)
        found = []
    except RecipeError as fault:
        found = [(d.code, d.span.text) for d in fault.diagnostics]
    assert found == said
