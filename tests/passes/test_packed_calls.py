"""Packed calls: which calls are packed, and that packed tokens of any shapes are what each batch is by itself."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block

from m3i_dsl.ir.graph import Graph, encoder_calls
from m3i_dsl.ir.text import read, write
from m3i_dsl.passes import optimize
from m3i_dsl.passes.packed_calls import LARGEST_PACKED, packed_calls
from m3i_dsl.vocabulary.encoders.timm import OTHER_BLOCKS, Timm
from m3i_dsl.vocabulary.kinds import EncoderContext
from tests.passes.test_passes import HEADER

CALLS = """input %c: f32[B, 3, 16, 16] = view(view: c)
%0: f32[B, 17, 36] = encode(%a, none, none) {module: ENCODER, tokens: all, visible: 16, taps: 0, embed: all}  # r:1:1
%1: f32[B, 5, 36] = encode(%c, none, none) {module: ENCODER, tokens: all, visible: 4, taps: 0, embed: all}  # r:1:1
%2: f32[B, 17, 36] = encode(%b, none, none) {module: ENCODER, tokens: all, visible: 16, taps: 0, embed: all}  # r:1:1
output loss/a = %0
output loss/c = %1
output loss/b = %2
"""


def graph(encoder: str = "image") -> Graph:
    return read(HEADER + CALLS.replace("ENCODER", encoder))


def test_calls_on_several_sizes_become_one_where_tokens_are_few() -> None:
    batch = LARGEST_PACKED // (17 + 5 + 17)
    packed = packed_calls(graph(), batch)
    assert encoder_calls(packed) == 1
    assert read(write(packed)) == packed
    assert [str(value.type) for value in packed.equations[0].results] == [
        "f32[B, 17, 36]",
        "f32[B, 5, 36]",
        "f32[B, 17, 36]",
    ]
    assert encoder_calls(packed_calls(graph(), batch + 1)) == 3


def test_fused_calls_are_packed_as_they_are() -> None:
    packed = optimize(graph(), 8)
    assert [equation.operation for equation in packed.equations] == ["concat", "encode_packed", "split"]
    assert optimize(packed, 8) == packed


def test_random_calls_are_never_packed() -> None:
    assert packed_calls(graph("noisy"), 1) == graph("noisy")


@pytest.mark.parametrize(
    "model", ["vit_tiny_patch16_224", "vit_base_patch16_clip_224", "vit_little_patch16_reg4_gap_256"]
)
def test_packed_tokens_are_those_of_each_batch_alone(model: str) -> None:
    """With and without a class token, register tokens, layer scale and a norm before the blocks."""
    word = Timm(model, 32, 8, width=32, depth=2, heads=2)
    torch.manual_seed(0)
    module = word.build(EncoderContext()).double()
    images = [torch.randn(count, 3, size, size, dtype=torch.float64) for count, size in ((2, 32), (3, 16), (1, 24))]
    apart = [module(image) for image in images]
    together = module(tuple(images))
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    first, second = (
        torch.autograd.grad(torch.stack([x.square().sum() for x in features]).sum(), weights, materialize_grads=True)
        for features in (apart, together)
    )
    assert any(gradient.any() for gradient in first)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("model", sorted(OTHER_BLOCKS))
def test_a_model_with_other_blocks_is_not_packed(model: str) -> None:
    assert not Timm(model, 224, 16).packs()
    with torch.device("meta"):
        created: Any = timm.create_model(model, depth=1)
    block = created.blocks[0]
    assert type(block) is not Block or type(block.attn) is not Attention
