"""FLOPs: by hand, beside published figures, and beside torch's own counter on the whole step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from m3i_dsl.plan import flops_per_sample
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.flops import OperationCounter, count_flops
from tests.plan.programs import CATEGORIES, VIT_B, Planned, blocks, linear, planned

TOKENS, WIDTH, PIXELS = 196, 768, 16 * 16 * 3
MAE_DECODER = {"decoder_layers": "8", "decoder_heads": "16", "decoder_width": "512"}


def test_supervised_vit_b() -> None:
    of = planned("supervised", VIT_B)
    flops = of.plan().flops
    patch_embedding = linear(TOKENS, PIXELS, WIDTH)
    encoder = patch_embedding + blocks(TOKENS + 1, WIDTH, 12)
    assert flops.encoder_forward == encoder
    # The image takes no gradient, so that of the patch embedding has one product instead of two.
    assert flops.encoder_backward == 2 * encoder - patch_embedding
    assert flops.loss_forward == linear(1, WIDTH, CATEGORIES)
    assert flops.total == pytest.approx(105.4e9, rel=0.01)  # three times the forward pass of a ViT-B/16 at 224


def test_mae_vit_b() -> None:
    of = planned("mae", {**VIT_B, **MAE_DECODER})
    flops, batch = of.plan().flops, of.executable.program.training.batch
    visible, hidden = TOKENS // 4 + 1, TOKENS - TOKENS // 4
    decoder = linear(visible, WIDTH, 512) + blocks(visible + hidden, 512, 8) + linear(hidden, 512, PIXELS)
    # The last block attends to the visible tokens and computes nothing for them: no query, no output, no MLP.
    trimmed = 2 * visible * 10 * 512**2 + 4 * visible * (visible + hidden) * 512
    # The first block projects the mask tokens of all positions once, not those of each sample.
    shared = 2 * (hidden - TOKENS / batch) * 3 * 512**2
    encoder = blocks(visible, WIDTH, 12)
    assert flops.predictor_forward == pytest.approx(decoder - trimmed - shared, rel=0.0001)
    # The patch embedding may be of all patches or, pushed below it, of the visible ones.
    assert encoder + linear(visible - 1, PIXELS, WIDTH) <= flops.encoder_forward
    assert flops.encoder_forward <= encoder + linear(TOKENS, PIXELS, WIDTH)
    # 58.0: MAE-75% with a decoder of 512 x 8 whole blocks, predicting hidden patches only.
    assert flops.total == pytest.approx(58.0e9 - 3 * (trimmed + shared), rel=0.01)
    assert flops.loss_forward == 0


def test_attention_is_a_fifth_of_a_long_sequence() -> None:
    """At 36 channels and 64 tokens attention is too much to be forgotten unnoticed."""
    of = planned("supervised", {"patch": "4px", "width": "36", "depth": "2"})
    expected = linear(64, 4 * 4 * 3, 36) + blocks(65, 36, 2)
    assert of.plan().flops.encoder_forward == expected
    attention = 4 * 65**2 * 36 * 2
    assert attention > expected / 5


def test_an_average_has_no_backward() -> None:
    plan = planned("data2vec").plan()
    by_name = {encoder.name: encoder for encoder in plan.encoders}
    assert by_name["teacher"].moves == "averaged"
    assert by_name["teacher"].forward > 0
    assert by_name["teacher"].backward == 0
    assert by_name["image"].backward > by_name["image"].forward


def test_the_calls_of_an_encoder_before_and_after_the_passes() -> None:
    by_name = {encoder.name: encoder for encoder in planned("m3i").plan().encoders}
    assert by_name["image"].calls_before == 4
    assert by_name["image"].calls_after == 1


RECIPES = ("supervised", "mae", "m3i", "moco_v3", "clip", "densecl", "siamese_im", "barlow_twins", "dino")


@pytest.mark.parametrize("recipe", RECIPES)
def test_call_by_call_is_the_whole_step(recipe: str) -> None:
    of = planned(recipe, {"width": "24", "depth": "2"})
    batch = of.executable.program.training.batch
    counted = count_flops(fake_copy(of.executable, batch))
    assert sum(call.forward + call.backward for call in counted) == _on_meta(of, batch)
    assert flops_per_sample(of.executable) == _on_meta(of, batch) // batch


def _on_meta(of: Planned, batch: int) -> int:
    """torch's counter around a forward and a backward pass on `meta`, where attention is made of matrix products."""
    module = copy.deepcopy(of.executable.module)
    shapes = fake_copy(of.executable, batch).batch
    inputs = {name: torch.empty(t.shape, dtype=t.dtype, device="meta") for name, t in shapes.items()}
    with FlopCounterMode(display=False) as counter:
        module(**inputs)["loss"].backward()
    return counter.get_total_flops()


def test_convolutions_with_groups_take_as_much_backward_as_forward() -> None:
    """torch's own formula forgets the groups in the gradient of the weight."""
    channels, batch, side = 8, 2, 6
    mode = FakeTensorMode()
    with mode:
        convolution = torch.nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        image = torch.empty(batch, channels, side, side, requires_grad=True)
        with OperationCounter() as forward:
            result = convolution(image)
        with OperationCounter() as backward:
            result.sum().backward()
    assert forward.total == 2 * batch * channels * side * side * 9
    assert backward.total == 2 * forward.total
