"""Initial weights by the method that draws them: deviations against its formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from torch import nn

from m3i_dsl.modules.blocks import Initial, initialise
from m3i_dsl.modules.encoders.initial import Scheme, initialise_vit
from m3i_dsl.modules.predictors.prototypes import PrototypesHead
from m3i_dsl.modules.text_encoder import TextTransformer

WIDTH, PIXELS = 192, 3 * 8 * 8


def xavier(inputs: int, outputs: int) -> float:
    return math.sqrt(2 / (inputs + outputs))


def uniform(inputs: int) -> float:
    return 1 / math.sqrt(3 * inputs)


def drawn(scheme: Scheme) -> Any:
    torch.manual_seed(0)
    model: Any = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, patch_size=8, embed_dim=WIDTH, depth=2, num_heads=3, num_classes=0
    )
    initialise_vit(model, scheme)
    return model


@pytest.mark.parametrize(
    ("scheme", "qkv", "last", "stem", "token"),
    [
        ("mae", xavier(WIDTH, 3 * WIDTH), xavier(4 * WIDTH, WIDTH), xavier(PIXELS, WIDTH), 0.02),
        ("moco_v3", xavier(WIDTH, WIDTH), xavier(4 * WIDTH, WIDTH), xavier(PIXELS, WIDTH), 1e-6),
        ("beit", 0.02, 0.02 / math.sqrt(4), 0.02, 0.02),
        ("dino", 0.02, 0.02, uniform(PIXELS), 0.02),
        ("clip", xavier(WIDTH, 3 * WIDTH), uniform(4 * WIDTH), uniform(PIXELS), WIDTH**-0.5),
    ],
)
def test_a_vit_starts_as_the_method_says(scheme: Scheme, qkv: float, last: float, stem: float, token: float) -> None:
    """The second block: what depends on the depth shows there."""
    model = drawn(scheme)
    block = model.blocks[1]
    found = (block.attn.qkv.weight, block.mlp.fc2.weight, model.patch_embed.proj.weight)
    assert [float(w.detach().std()) for w in found] == pytest.approx([qkv, last, stem], rel=0.05)
    assert float(model.cls_token.detach().std()) == pytest.approx(token, rel=0.2)
    assert not block.attn.qkv.bias.any()
    assert bool((block.norm1.weight == 1).all())


def test_timm_keeps_its_own() -> None:
    torch.manual_seed(0)
    plain = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, patch_size=8, embed_dim=WIDTH, depth=2, num_heads=3, num_classes=0
    )
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), drawn("timm").parameters(), strict=True))


@pytest.mark.parametrize(
    ("scheme", "deviation", "bias"),
    [
        ("xavier", xavier(400, 100), False),
        ("truncated", 0.02, False),
        ("lecun", 0.8796 * 400**-0.5, False),
        ("torch", uniform(400), True),
    ],
)
def test_a_head_starts_as_its_scheme_says(scheme: Initial, deviation: float, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(400, 100)
    initialise(layer, scheme)
    assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.03)
    assert bool(layer.bias.any()) is bias


def test_prototypes_start_as_the_rows_of_a_linear_layer() -> None:
    """Of norm 1 / sqrt(3) at any number of them (DINO), not of one that shrinks with it."""
    torch.manual_seed(0)
    head = PrototypesHead(8, 4096, layers=1, hidden=8, width=256, activation="gelu", norm_kind=None)
    assert float(head.prototypes.weight.detach().norm(dim=1).mean()) == pytest.approx(3**-0.5, rel=0.01)


def test_a_text_tower_starts_as_clip_says() -> None:
    torch.manual_seed(0)
    settings: Any = {"vocabulary": 10, "context": 5, "width": WIDTH, "layers": 3, "heads": 3}
    block: Any = TextTransformer(**settings, initial="clip").blocks[0]
    found = (block.attention.qkv.weight, block.attention.out.weight, block.mlp[0].weight, block.mlp[2].weight)
    out = (2 * 3 * WIDTH) ** -0.5
    expected = [WIDTH**-0.5, out, (2 * WIDTH) ** -0.5, out]
    assert [float(w.detach().std()) for w in found] == pytest.approx(expected, rel=0.03)


def test_a_causal_text_does_not_look_ahead() -> None:
    torch.manual_seed(0)
    settings: Any = {"vocabulary": 10, "context": 5, "width": 8, "layers": 1, "heads": 2}
    causal, both = TextTransformer(**settings, causal=True), TextTransformer(**settings)
    both.load_state_dict(causal.state_dict())
    short, long = torch.tensor([[1, 2, 0]]), torch.tensor([[1, 2, 3]])
    state: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: torch.Tensor) -> None:
        state.append(output[0, 1])

    for model in (causal, both):
        model.norm.register_forward_hook(keep)
        model(short)
        model(long)
    assert torch.allclose(state[0], state[1])
    assert not torch.allclose(state[2], state[3])
