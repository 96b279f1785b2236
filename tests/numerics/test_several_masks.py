"""Masks on several inputs, and dense targets of several grids, against a hand-written step in float64.

One decoder is called from inputs of two sizes, with and without dropped tokens, for targets of two sizes.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.testing.comparison import agree, agree_all, gradients
from tests.numerics.by_hand import backbone
from tests.numerics.recipes import batch_at, compile_text, fresh, plain_executable
from tests.numerics.reference.plain import attend, ln0, patchify, pick, sincos_table, vit_tokens, waves

RECIPE = """m3i 1
recipe several_masks

data digits = embedded("digits")

view  whole    of digits.image = crop(32px, scale: 40%..100%) | flip
view  other    of digits.image = crop(32px, scale: 40%..100%) | flip
views local[2] of digits.image = crop(16px, scale: 10%..40%) | flip

encoder image    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3, projector: mlp)
encoder momentum = ema of image(0.99)

objective crops {
  input     masked whole by random(50%), masked other by random(75%, tokens: mask), masked local[0] by random(25%), \
local[1]
  represent dense feature of image

  target tokens {
    data           whole, other
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 3, position: relative)
    regularization stop gradient
    distribution   gaussian
  }

  target pixels {
    data           whole, local[0]
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3, position: relative)
    regularization none
    distribution   gaussian
  }
}

train {
  batch     128
  epochs    1
  optimizer adamw(lr: 1e-3)
}
"""

INPUTS = ("whole", "other", "local_0", "local_1")
PATCH = 8


def places(geometry_x: Tensor, geometry_y: Tensor, side_x: int, side_y: int, width: int) -> Tensor:
    """[B, side_y^2, 2 width]: the patches of y on the grid of x, which may have patches of another size."""
    rows: list[Tensor] = []
    for (i1, j1, h1, w1, flip1, image), (i2, j2, h2, w2, flip2, _) in zip(geometry_x, geometry_y, strict=True):
        tall, wide = (h2 / side_y) / (h1 / side_x), (w2 / side_y) / (w1 / side_x)
        for r, c in itertools.product(range(side_y), repeat=2):
            down = tall * (r + 0.5) + (i2 - i1) / (h1 / side_x) - 0.5
            if flip1 == flip2:
                right = wide * (c + 0.5) + (j2 - j1) / (w1 / side_x) - 0.5
            else:
                right = (image - j1 - j2) / (w1 / side_x) - wide * (c + 0.5) - 0.5
            four = (down, right, 10 * tall.log(), 10 * wide.log())
            rows.append(torch.cat([waves(value, width // 4) for value in four]))
    return torch.stack(rows).unflatten(0, (len(geometry_x), side_y**2))


def decode(decoder: Any, tokens: Tensor, hidden: Tensor | None, positions: Tensor, side: int) -> Tensor:
    """[B, L_y, E]: mask tokens at `positions` attend to the tokens that were not dropped."""
    table = sincos_table(side, 36, tokens).expand(len(tokens), -1, -1)
    seen = table if hidden is None else pick(table, ~hidden)
    context = decoder.context.embed(tokens)
    context = torch.cat([context[:, :1], context[:, 1:] + seen], dim=1)
    x = torch.cat([context, decoder.mask_token + decoder.relative(positions)], dim=1)
    for block in decoder.blocks:
        x = x + attend(block.norm1(x), block.attention.qkv, block.attention.out, block.attention.heads)
        x = x + block.mlp(block.norm2(x))
    return decoder.out(decoder.norm(x)[:, context.shape[1] :])


def step(module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The two losses: each input predicts each target that is another view."""
    get: Any = module.get_submodule
    online, student = get("encoders.image"), backbone(get("encoders.image.model"))
    teacher, average = backbone(get("encoders.momentum.module.model")), get("projectors.momentum.module")
    hidden = {name: batch[key] for name in INPUTS for key in batch if key.startswith(f"{name}_mask")}
    dropped = {name: hidden[name] for name in ("whole", "local_0")}
    options = {
        "whole": {"drop": hidden["whole"]},
        "other": {"mask": hidden["other"], "mask_token": online.mask_token},
        "local_0": {"drop": hidden["local_0"]},
        "local_1": {},
    }
    features = {name: vit_tokens(student, batch[name], **options[name]) for name in INPUTS}
    side = {name: batch[name].shape[-1] // PATCH for name in INPUTS}

    def predicted(target: str, x: str, y: str, tokens: Tensor) -> Tensor:
        geometry = batch[f"{x}_geometry"], batch[f"{y}_geometry"]
        positions = places(*geometry, side[x], side[y], 36)
        return decode(get(f"predictors.crops_{target}"), tokens, dropped.get(x), positions, side[x])

    apart: dict[str, list[Tensor]] = {"tokens": [], "pixels": []}
    for x, y in itertools.product(INPUTS, ("whole", "other")):
        if x != y:
            with torch.no_grad():
                target = ln0(average(vit_tokens(teacher, batch[y]))[:, 1:])
            projected = get("projectors.image")(features[x])
            apart["tokens"].append((predicted("tokens", x, y, projected) - target).square().mean())
    for x, y in itertools.product(INPUTS, ("whole", "local_0")):
        if x != y:
            apart["pixels"].append((predicted("pixels", x, y, features[x]) - patchify(batch[y], PATCH)).square().mean())
    assert {name: len(each) for name, each in apart.items()} == {"tokens": 6, "pixels": 6}
    return torch.stack(apart["tokens"]).mean(), torch.stack(apart["pixels"]).mean()


@pytest.mark.parametrize("passes", [True, False])
def test_each_input_has_its_mask_and_its_grid(passes: bool) -> None:
    of = compile_text(RECIPE)
    executable = fresh(of.executable if passes else plain_executable(of))
    batch = batch_at(of.program, executable)
    by_hand = copy.deepcopy(executable.module)
    losses = step(by_hand, batch)
    sum(losses, torch.zeros(())).backward()
    outputs = executable.module(**batch)
    agree_all("loss of", outputs["losses"], dict(zip(("crops.tokens", "crops.pixels"), losses, strict=True)))
    agree("loss", outputs["loss"], losses[0] + losses[1])
    outputs["loss"].backward()
    agree_all("gradient of", gradients(executable.module), gradients(by_hand))
