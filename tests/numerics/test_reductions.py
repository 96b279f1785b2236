"""M3I becomes a row of the table where only one of its targets counts and its images do not see each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules.tokens import partner
from m3i_dsl.testing.comparison import agree, agree_all
from tests.numerics.recipes import batch_at, compile_text, fresh


@pytest.mark.parametrize("attention", ["isolated", "joint"])
@pytest.mark.parametrize("row", ["intra", "inter"])
def test_m3i_reduces_to_a_row_of_the_table(row: str, attention: str) -> None:
    """With isolated attention and own context a mixed image is a masked one; jointly encoded, it is not."""
    mixed = fresh(compile_text(mix_recipe(attention)).executable)
    weighting: Any = mixed.module.get_submodule("weightings.m3i")
    weighting.weights = {"intra": (1.0, 0.0, 0.0), "inter": (0.0, 1.0, 0.0)}[row]
    alone = fresh(compile_text(MIM if row == "intra" else SIAMIM).executable)
    copied = transfer(mixed, alone, {f"m3i_{row}": "alone_feature"})
    batch = batch_at(mixed.program, mixed)
    hidden = batch["view1_mask"]
    masks = hidden if row == "intra" else partner(~hidden)
    given = {"view1_mask": masks, **{name: batch[name] for name in batch if name != "view1_mask"}}
    given = {name: given[name] for name in (input_.name for input_ in alone.inputs)}
    measured, expected = step(mixed, batch), step(alone, given)
    if attention == "joint":
        assert abs(measured - expected) > 1e-6 * expected  # 10,000 times what isolated ones may differ by
        return
    agree("loss", measured, expected)
    theirs = {name: value.grad for name, value in alone.module.named_parameters() if name in copied.values()}
    ours = {copied[name]: value.grad for name, value in mixed.module.named_parameters() if name in copied}
    assert any(gradient is not None for gradient in ours.values())
    agree_all("gradient of", ours, theirs)


def transfer(source: Executable, target: Executable, renamed: Mapping[str, str]) -> dict[str, str]:
    """Copies parameters of the same name, but for renamed parts; gives the names in the source and in the target."""
    theirs = dict(target.module.named_parameters())
    copied: dict[str, str] = {}
    for name, value in source.module.named_parameters():
        section, part, *rest = name.split(".")
        there = ".".join([section, renamed.get(part, part), *rest])
        if there in theirs:
            theirs[there].data.copy_(value.data)
            copied[name] = there
    assert set(copied.values()) == set(theirs)
    return copied


def step(executable: Executable, batch: Mapping[str, Tensor]) -> Tensor:
    loss: Tensor = executable.module(**batch)["loss"]
    loss.backward()
    return loss.detach()


# --- recipes ----------------------------------------------------------------------------------------------------------

HEADER = """m3i 1
recipe {name}
use "data.m3i"
encoder image = timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 36, depth: 2, heads: 3, class_token: false)
encoder momentum = ema of image(0.996)
"""

FOOTER = """
train {
  batch     128
  epochs    1
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}
evaluate {
  knn at end
}
"""

DENSE = """  target {name} {{
    data           {data}
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 3, position: {position})
    regularization stop gradient
    distribution   gaussian
  }}
"""


def mix_recipe(attention: str) -> str:
    """M3I without class token; both dense targets, and the category."""
    by = f"by: blocks(50%, minimum: 4), attention: {attention}"
    return (
        HEADER.format(name="m3i")
        + f"objective m3i {{\n  input mix(masked view1 of first, masked view1 of second, {by})\n"
        + "  represent dense feature of image\n"
        + DENSE.format(name="intra", data="view1 of first", position="absolute")
        + DENSE.format(name="inter", data="view2 of second", position="relative")
        + """  target category {
    data           category of first, category of second
    representation category embedding
    predictor      mlp
    regularization negative categories
    distribution   boltzmann
  }
}
"""
        + FOOTER
    )


def alone_recipe(data: str, position: str) -> str:
    """One dense target of a masked view."""
    return (
        HEADER.format(name="alone")
        + "objective alone {\n  input masked view1 by blocks(50%, minimum: 4)\n  represent dense feature of image\n"
        + DENSE.format(name="feature", data=data, position=position)
        + "}\n"
        + FOOTER
    )


MIM = alone_recipe("view1", "absolute")
SIAMIM = alone_recipe("view2", "relative")
