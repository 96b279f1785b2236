"""Sharing changes how often an encoder runs, and nothing else."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch

from m3i_dsl.ir.share import encoder_calls
from tests.numerics.comparison import Disagreement, agree
from tests.numerics.equivalence import Observation, assert_equivalent, assert_same_start, observe
from tests.numerics.methods import METHODS
from tests.numerics.recipes import batch_at, compile_text, compiled, fresh, plain_executable, recipe_names

CALLS_BEFORE_SHARING = {"m3i": 4 + 2, "m3i_digits": 4 + 2 + 2, "m3i_no_mix": 3 + 2, "densecl": 2 + 2}
"""Encoder calls where each target starts from its views; recipes with one target and one direction share nothing."""


@functools.cache
def observed(name: str) -> tuple[Observation, Observation]:
    """A step of the plain graph, and of the shared one."""
    of = compiled(name)
    shared, plain = fresh(of.executable), fresh(plain_executable(of))
    batch = batch_at(of.program, shared)
    return observe(plain, batch), observe(shared, batch)


@pytest.mark.parametrize("name", recipe_names())
def test_the_shared_graph_is_the_plain_graph(name: str) -> None:
    of = compiled(name)
    assert_same_start(of.executable, plain_executable(of))
    before, after = observed(name)
    assert_equivalent(before, after)
    assert after.calls == encoder_calls(of.graph) == METHODS[name].calls
    assert before.calls == encoder_calls(of.plain) == CALLS_BEFORE_SHARING.get(name, METHODS[name].calls)


def test_batch_norm_sees_a_shared_call_once() -> None:
    """Running statistics after n equal calls, r + (1 - 0.9^n)(s - r), against those after one."""
    before, after = observed("m3i_digits")
    assert (before.encoder_calls["image"], after.encoder_calls["image"]) == (4, 1)
    start = dict(fresh(compiled("m3i_digits").executable).module.named_buffers())
    statistics = [name for name in start if name.startswith("encoders.image.") and "running" in name]
    assert statistics
    for name in statistics:
        seen = start[name] + (after.buffers[name] - start[name]) / 0.1
        agree(name, before.buffers[name], start[name] + (1 - 0.9**4) * (seen - start[name]), 1e-12)


def test_no_encoder_runs_twice_on_the_same_view_and_mask() -> None:
    """Taps, symmetric directions and two captions included."""
    for name in recipe_names():
        calls = [e for e in compiled(name).graph.equations if e.operation in ("encode", "encode_text")]
        asked = [(e.attribute("module"), e.arguments) for e in calls]
        assert len(set(asked)) == len(asked), name


def test_targets_that_ask_for_blocks_and_for_features_share_one_call() -> None:
    of = compile_text(TWO_DEPTHS)
    shared, plain = fresh(of.executable), fresh(plain_executable(of))
    batch = batch_at(of.program, shared)
    after, before = observe(shared, batch), observe(plain, batch)
    assert_equivalent(before, after)
    assert before.encoder_calls == {"image": 2, "momentum": 2}
    assert after.encoder_calls == {"image": 1, "momentum": 1}


def test_what_differs_is_seen() -> None:
    """The harness itself: each part of an observation counts."""
    of = compiled("densecl")
    executable = fresh(of.executable)
    batch = batch_at(of.program, executable)
    one = observe(executable, batch)
    assert_equivalent(one, observe(executable, batch))
    name = next(name for name, gradient in one.gradients.items() if gradient is not None)
    others = (
        replace(one, outputs={**one.outputs, "loss": one.outputs["loss"] + 1e-8}),
        replace(one, gradients={**one.gradients, name: None}),
        replace(one, buffers={name: value + 1 for name, value in one.buffers.items()}),
        replace(one, random=torch.zeros_like(one.random)),
    )
    for other in others:
        with pytest.raises(Disagreement):
            assert_equivalent(one, other)


TWO_DEPTHS = """m3i 1
recipe two_depths
use "data.m3i"
use "encoders.m3i"
objective two_depths {
  input     masked view1 by blocks(60%, minimum: 4)
  represent dense feature of image
  target feature {
    data           view1
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 3)
    regularization stop gradient
    distribution   gaussian
  }
  target blocks {
    data           view1
    representation dense feature(layers: 2) of momentum
    predictor      decoder(layers: 1, heads: 3)
    regularization stop gradient
    distribution   gaussian
  }
}
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
