"""A recipe made small: the same words and wiring, and nothing that it had is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from m3i_dsl.ir.build import build
from m3i_dsl.semantics.checks import ERRORS
from m3i_dsl.semantics.program import Placed, Program
from m3i_dsl.testing.batches import synthetic_batch
from m3i_dsl.testing.tiny import tiny
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import ImageEncoder
from m3i_dsl.vocabulary.limits import TINY_BATCH
from m3i_dsl.vocabulary.word import Word
from tests.numerics.recipes import recipe_names
from tests.testing.recipes import case_named, program, program_named

_LARGE = """m3i 1
recipe large
data images = folder("images")
view view1 of images.image = crop({size}px) | flip
view view2 of images.image = resize(256px) | center crop({size}px)
encoder image    = {encoder}
encoder momentum = ema of image(0.996 -> 1 cosine)
objective large {{
  input     masked view1 by {mask}
  represent dense feature of image
  target feature {{
    data           view1
    representation dense feature(layers: {layers}) of momentum
    predictor      {predictor}
    regularization stop gradient
    distribution   gaussian
  }}
}}
train {{
  batch     1024
  epochs    300
  optimizer adamw(lr: 1.5e-4 per 256)
}}
"""


def large(
    encoder: str,
    mask: str = "blocks(60%)",
    size: int = 224,
    layers: int = 1,
    predictor: str = "decoder",
) -> Program:
    text = _LARGE.format(encoder=encoder, mask=mask, size=size, layers=layers, predictor=predictor)
    lines = text.splitlines(keepends=True)
    unused = [line for line in lines if not line.startswith("view view2")]
    return program("".join(unused))


def words(value: object, seen: set[int] | None = None) -> Iterator[Word]:
    """Every word of a program, in order."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    match value:
        case Word():
            yield value
            fields = dataclasses.fields(value)  # pyright: ignore[reportArgumentType]
            for field in fields:
                yield from words(getattr(value, field.name), seen)
        case Placed():
            yield from words(value.word, seen)
        case tuple():
            for item in value:
                yield from words(item, seen)
        case dict():
            for item in value.values():
                yield from words(item, seen)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            seen.add(id(value))
            for field in dataclasses.fields(value):
                yield from words(getattr(value, field.name), seen)


@pytest.mark.parametrize("name", recipe_names())
def test_words_and_wiring_stay(name: str) -> None:
    of = program_named(name)
    small = tiny(of)
    assert [word.name for word in words(small)] == [word.name for word in words(of)]
    assert [d for check in ERRORS for d in check(small)] == []
    assert small.training.batch == TINY_BATCH
    ours, theirs = build(small), build(of)
    assert [(e.operation, e.place) for e in ours.equations] == [(e.operation, e.place) for e in theirs.equations]
    assert [name for name, _ in ours.outputs] == [name for name, _ in theirs.outputs]
    for objective in small.objectives:
        assert objective.encoder is small.encoders[objective.encoder.name]
        assert all(reference.view is small.views[reference.view.name] for reference in objective.inputs)


@pytest.mark.parametrize("name", recipe_names())
def test_it_is_small(name: str) -> None:
    executable = case_named(name).executable
    for encoder in executable.program.encoders.values():
        if isinstance(encoder.word.word, ImageEncoder):
            assert encoder.word.word.shape().grid.tokens <= 16
    parameters = sum(p.numel() for p in executable.module.parameters())
    with_resnet = any("resnet" in encoder.word.word.text() for encoder in executable.program.encoders.values())
    assert parameters < (20e6 if with_resnet else 200e3), "no smaller ResNet is to be had"


@pytest.mark.parametrize(
    ("encoder", "rows", "width"),
    [
        ('timm("vit_base_patch16_224", image: 224px)', 4, 24),
        ('timm("vit_large_patch14_dinov2", image: 224px, drop_path: 20%)', 4, 24),
        ('timm("resnet50", image: 224px)', 4, 512),
        ('timm("convnext_base", image: 224px)', 4, 320),
        ('timm("swinv2_base_window8_256", image: 256px)', 4, 1024),
    ],
)
def test_encoders_of_papers(encoder: str, rows: int, width: int) -> None:
    size = 256 if "256px" in encoder else 224
    mask = "random(75%, tokens: mask)" if "vit" not in encoder else "blocks(60%)"
    predictor = "decoder" if "vit" in encoder else "decoder(layers: 1, heads: 4, width: 64)"
    small = tiny(large(encoder, mask, size, predictor=predictor))
    word = small.encoders["image"].word.word
    assert isinstance(word, Timm)
    shape = word.shape()
    assert (shape.grid.rows, shape.width, word.drop_path) == (rows, width, 0)
    assert small.views["view1"].size == shape.image
    assert small.encoders["momentum"].word.word == word


def test_weights_to_start_from_are_left_out() -> None:
    small = tiny(large('timm("vit_base_patch16_224", image: 224px, pretrained: true)'))
    word = small.encoders["image"].word.word
    assert isinstance(word, Timm)
    assert not word.pretrained and word.files() == {}


def test_a_mask_that_needs_a_larger_grid_gets_one() -> None:
    """97% of 16 tokens is all of them."""
    small = tiny(large('timm("vit_base_patch16_224", image: 224px)', "random(97%)"))
    word = small.encoders["image"].word.word
    assert isinstance(word, Timm)
    assert word.shape().grid.rows == 6


def test_layers_that_are_averaged_are_there() -> None:
    small = tiny(large('timm("vit_base_patch16_224", image: 224px)', layers=8))
    (target,) = small.objectives[0].targets
    word = small.encoders["image"].word.word
    assert isinstance(word, Timm)
    assert getattr(target.representation.word, "layers", None) == word.depth == 2


def test_batches_are_functions_of_their_number() -> None:
    executable = case_named("m3i").executable
    one, same, other = (synthetic_batch(executable, number) for number in (1, 1, 2))
    assert one.keys() == {input_.name for input_ in executable.inputs}
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in one)


def test_two_views_of_an_image_have_something_in_common() -> None:
    batch = synthetic_batch(case_named("moco_v3").executable)
    view1, view2 = batch["view1"].flatten(1), batch["view2"].flatten(1)
    similarity = torch.corrcoef(torch.cat([view1, view2]))[: len(view1), len(view1) :]
    assert bool((similarity.argmax(dim=1) == torch.arange(len(view1))).all())


def test_local_crops_stay_smaller_than_global_ones() -> None:
    """The proportions of the sizes are kept, so that what is tested has encoder calls of both."""
    small = tiny(program_named("dino"))
    (objective,) = small.objectives
    word = objective.encoder.word.word
    assert isinstance(word, ImageEncoder)
    sizes = {shown.view.name: shown.view.size for shown in objective.inputs}
    assert sizes["view1"] == word.shape().image
    assert word.shape_at(sizes["local[0]"]).grid.tokens < word.shape().grid.tokens
    assert small.views["local[0]"].transforms[0].word.output_size(None) == sizes["local[0]"]
