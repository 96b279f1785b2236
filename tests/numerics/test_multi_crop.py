"""Several inputs against a hand-written multi-crop step in float64: losses and gradients; resampled positions."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.testing.comparison import agree, agree_all, gradients
from tests.numerics.by_hand import backbone
from tests.numerics.recipes import batch_at, compile_text, fresh, plain_executable
from tests.numerics.reference.plain import attend, l2

RECIPE = """m3i 1
recipe multi_crop

data digits = embedded("digits")

view  whole        of digits.image = crop(32px, scale: 40%..100%) | flip
views global[2]    of digits.image = crop(32px, scale: 40%..100%) | flip
views local[3]     of digits.image = crop(16px, scale: 10%..40%) | flip

encoder image    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3, projector: mlp)
encoder momentum = ema of image(0.99)

objective crops {
  input     whole, global[1], local
  represent dense feature of image

  target instance {
    data           global, whole
    representation global feature(normalize: l2) of momentum
    predictor      mlp
    regularization stop gradient
    distribution   gaussian(reduction: sum)
  }

  target digit {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann
  }
}

train {
  batch     128
  epochs    1
  optimizer adamw(lr: 1e-3)
}
"""

INPUTS = ("whole", "global_1", "local_0", "local_1", "local_2")
TARGETS = ("global_0", "global_1", "whole")


def pooled(vit: Any, image: Tensor) -> Tensor:
    """[B, D]: the mean patch token, whatever the size of the image."""
    x = vit.patch_embed.proj(image)
    rows, columns = x.shape[2:]
    own, grid = vit.pos_embed[:, :1], vit.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    places = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
    x = torch.cat([(vit.cls_token + own).expand(len(x), -1, -1), (x + places).flatten(2).transpose(1, 2)], dim=1)
    for block in vit.blocks:
        x = x + attend(block.norm1(x), block.attn.qkv, block.attn.proj, block.attn.num_heads)
        x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return vit.norm(x)[:, 1:].mean(dim=1)


def step(module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The two losses: each input predicts each target that is another view, and every input the digit."""
    get: Any = module.get_submodule
    student, teacher = backbone(get("encoders.image.model")), backbone(get("encoders.momentum.module.model"))
    project, average = get("projectors.image"), get("projectors.momentum.module")
    features = {name: pooled(student, batch[name]) for name in INPUTS}
    with torch.no_grad():
        targets = {name: l2(average(pooled(teacher, batch[name]))) for name in TARGETS}
    pairs = [(x, y) for x, y in itertools.product(INPUTS, TARGETS) if x != y]
    assert len(pairs) == 5 * 3 - 2
    predict, table = get("predictors.crops_instance"), get("representations.crops_digit")
    apart = [(targets[y] - l2(predict(project(features[x])))).square().sum(dim=1).mean() for x, y in pairs]
    logits = [get("predictors.crops_digit")(features[x]) @ table.weight.T + table.bias for x in INPUTS]
    errors = [F.cross_entropy(each, batch["digits_category"]) for each in logits]
    return torch.stack(apart).mean(), torch.stack(errors).mean()


def test_each_input_predicts_the_other_views() -> None:
    """The graph before and after the passes, which pack the crops of both sizes into one call."""
    of = compile_text(RECIPE)
    operations = [equation.operation for equation in of.graph.equations]
    assert operations.count("encode_packed") == 1
    executable = fresh(of.executable)
    batch = batch_at(of.program, executable)
    by_hand = copy.deepcopy(executable.module)
    losses = step(by_hand, batch)
    sum(losses, torch.zeros(())).backward()
    for ran in (executable, fresh(plain_executable(of))):
        outputs = ran.module(**batch)
        agree_all("loss of", outputs["losses"], dict(zip(("crops.instance", "crops.digit"), losses, strict=True)))
        agree("loss", outputs["loss"], losses[0] + losses[1])
        outputs["loss"].backward()
        agree_all("gradient of", gradients(ran.module), gradients(by_hand))
