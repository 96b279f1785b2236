"""Masked text against a hand-written step in float64: tokens of an average, and the category of the text."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.testing.comparison import agree, agree_all, gradients
from tests.numerics.by_hand import function, text_tokens
from tests.numerics.recipes import batch_at, compile_text, fresh, plain_executable
from tests.numerics.reference.plain import ln0, negative_log_softmax

RECIPE = """m3i 1
recipe masked_text

data digits = embedded("digits")

encoder words    = transformer(width: 36, layers: 2, heads: 3, context: 20)
encoder momentum = ema of words(0.99)

objective language {
  input     masked text by tokens(30%)
  represent dense feature of words

  target hidden {
    data           text
    representation dense feature of momentum
    predictor      mlp
    regularization stop gradient
    distribution   gaussian(tokens: hidden)
  }

  target every {
    data           text
    representation dense feature of momentum
    predictor      linear
    regularization stop gradient
    distribution   huber(1)
  }

  target kind {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann
  }
}

train {
  batch     24
  epochs    1
  optimizer adamw(lr: 1e-3)
}
"""


def step(module: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The three losses; texts one by one, without their padding."""
    get: Any = module.get_submodule
    tokens, which = batch["digits_text"], batch["digits_text_mask"]
    seen = text_tokens(get("encoders.words"), tokens, which)
    with torch.no_grad():
        targets = [ln0(x) for x in text_tokens(get("encoders.momentum.module"), tokens)]
    mlp, linear = (function(get(f"predictors.language_{name}")) for name in ("hidden", "every"))
    kind, table = function(get("predictors.language_kind")), get("representations.language_kind")
    hidden: list[Tensor] = []
    every: list[Tensor] = []
    kinds: list[Tensor] = []
    for x, y, mask, label in zip(seen, targets, which, batch["digits_category"].tolist(), strict=True):
        chosen = mask[: len(x)]
        assert 0 < int(chosen.sum()) < len(x) - 1 and not mask[len(x) :].any()
        hidden.append((mlp(x[chosen]) - y[chosen]).square().mean())
        error = (linear(x) - y).abs()
        every.append(torch.where(error < 1, error.square() / 2, error - 0.5).mean())
        logits = kind(x.mean(dim=0, keepdim=True))[0] @ table.weight.T + table.bias
        kinds.append(negative_log_softmax(logits, label))
    means = (torch.stack(each).mean() for each in (hidden, every, kinds))
    return dict(zip(("language.hidden", "language.every", "language.kind"), means, strict=True))


@pytest.mark.parametrize("passes", [True, False])
def test_masked_text_is_the_step_by_hand(passes: bool) -> None:
    of = compile_text(RECIPE)
    executable = fresh(of.executable if passes else plain_executable(of))
    batch = batch_at(of.program, executable)
    assert len({int(row.sum()) for row in batch["digits_text_mask"]}) > 1, "texts differ in how many tokens are hidden"
    by_hand = copy.deepcopy(executable.module)
    losses = step(by_hand, batch)
    torch.stack(list(losses.values())).sum().backward()
    outputs = executable.module(**batch)
    agree_all("loss of", outputs["losses"], losses)
    agree("loss", outputs["loss"], torch.stack(list(losses.values())).sum())
    outputs["loss"].backward()
    agree_all("gradient of", gradients(executable.module), gradients(by_hand))


def test_a_text_hides_the_same_tokens_in_whatever_batch_it_is() -> None:
    """The rows of one of two processes are those of the whole batch."""
    from m3i_dsl.data.stream import Stream
    from tests.numerics.recipes import ROOT

    of = compile_text(RECIPE)
    whole = Stream(of.program, of.executable.inputs, base=ROOT).batch_at(3)
    second = Stream(of.program, of.executable.inputs, base=ROOT, rank=1, world=2).batch_at(3)
    first, last = whole["digits_text_mask"].chunk(2)
    assert torch.equal(last, second["digits_text_mask"])
    assert not torch.equal(first, last)
