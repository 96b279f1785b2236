"""What a teacher takes and yields: its own head, its own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from m3i_dsl import driver
from m3i_dsl.evaluation.trained_run import view_of
from m3i_dsl.ir.build import build
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.lower.parts import build_parts
from m3i_dsl.lower.to_fx import to_fx
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext, Grid, WordError
from m3i_dsl.vocabulary.transforms.normalize import Normalize

CLIP = "vit_base_patch16_clip_224.openai"
RECIPE = """
m3i 1
recipe distilled

data digits = embedded("digits")
view view1 of digits.image = crop(32px)

encoder image   = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 1, heads: 3)
encoder clip    = timm("vit_base_patch16_clip_224.openai", image: 24px, patch: 6px, width: 24, depth: 2, heads: 2,
  weights: "w.safetensors", mean: (0.48, 0.46, 0.41), std: (0.27, 0.26, 0.28), fit: resize)
encoder teacher = frozen of clip

objective features {
  input     view1
  represent dense feature of image

  target tokens {
    data           view1
    representation dense feature(normalize: none, prefix: true) of teacher
    predictor      linear
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


def test_the_head_follows_token_by_token() -> None:
    """timm's own `forward_head` on the class token alone is the first token of ours."""
    word = Timm(CLIP, 32, patch=8, width=24, depth=1, heads=2, head=True)
    shape = word.shape()
    assert (shape.width, shape.grid, shape.depth) == (512, Grid(4, 4), 1)
    torch.manual_seed(0)
    module: Any = word.build(EncoderContext()).double()
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    features = module(image)
    assert features.shape == (2, 17, 512)
    torch.testing.assert_close(features[:, 0], module.model(image))
    torch.testing.assert_close(features[:, 5], module.model.head(module.model.forward_features(image)[:, 5]))


@pytest.mark.parametrize(
    ("word", "argument", "message"),
    [
        (Timm("vit_base_patch16_224.dino", 224, head=True), "head", "has no linear head"),
        (Timm("swin_tiny_patch4_window7_224", 224, head=True), "head", "argument of plain ViTs"),
        (Timm("vit_tiny_patch16_224", 224, mean=(0.5, 0.5)), "mean", "has 2 numbers"),
        (Timm("vit_tiny_patch16_224", 224, std=(0.5, 0.5, 0.0)), "std", "must be above 0"),
    ],
)
def test_what_no_teacher_has(word: Timm, argument: str, message: str) -> None:
    with pytest.raises(WordError, match=message) as caught:
        word.shape()
    assert caught.value.argument == argument


def test_a_teacher_gets_the_view_in_its_own_size_and_statistics() -> None:
    program = driver.check_file(SourceFile("distilled.m3i", RECIPE)).required()
    graph = build(program)
    executable = to_fx(graph, build_parts(graph, seed=0, categories={}, base=Path(), load_weights=False))[0].double()
    names = [each.source.name for each in graph.inputs if isinstance(each.source, ViewInput)]
    torch.manual_seed(0)
    pixels = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    column = (1, 3, 1, 1)
    view_mean, view_std = (
        torch.tensor(v, dtype=torch.float64).view(column) for v in (Normalize().mean, Normalize().std)
    )
    clip_mean, clip_std = (
        torch.tensor(v, dtype=torch.float64).view(column) for v in ((0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
    )
    found = executable(**{names[0]: (pixels - view_mean) / view_std})
    target = found["representations"]["features.tokens/target"]
    smaller = F.interpolate(pixels, (24, 24), mode="bicubic", antialias=True)
    teacher: Any = executable.get_submodule("encoders.teacher")
    torch.testing.assert_close(target, teacher((smaller - clip_mean) / clip_std))
    assert target.shape == (4, 17, 24)
    prediction = found["representations"]["features.tokens/prediction"]
    assert prediction.shape == target.shape


def test_a_teacher_is_evaluated_on_its_own_pixels() -> None:
    program = driver.check_file(SourceFile("distilled.m3i", RECIPE)).required()
    view = view_of(program, "teacher")
    assert view.size == (24, 24)
    assert view.transforms[-1].word == Normalize(mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28))
    assert view_of(program, "image") == program.views["view1"]
