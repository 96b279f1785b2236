"""Every pass, alone and in the pipeline, keeps every recipe's step: values, gradients, buffers, random numbers."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from m3i_dsl.driver import Compiled
from m3i_dsl.ir.graph import Graph, encoder_calls
from m3i_dsl.passes import PIPELINE, Pass, optimize, run
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.testing.equivalence import Observation, assert_equivalent, assert_same_start, observe
from tests.numerics.methods import METHODS
from tests.numerics.recipes import (
    BATCH,
    batch_at,
    compile_text,
    compiled,
    fresh,
    lowered,
    plain_executable,
    recipe_names,
)
from tests.passes.recipes import TWO_DEPTHS
from tests.property.recipes import recipes

CALLS_BEFORE_SHARING = {
    "m3i": 4 + 2,
    "m3i_no_mix": 3 + 2,
    "m3i_vitb_imagenet": 4 + 2,
    "m3i_vitb_yfcc": 4 + 2 + 2,
    "densecl": 2 + 2,
    "dino": 2 + 10,
    "ibot": 2 + 10 + 2 + 2,
    "dinov2": 18,
    "m3i_digits": 1 + 2 + 2,
}
"""Encoder calls where each target starts from its views; recipes with one target and one direction share nothing, and
an encoder with batch norm (m3i_digits) is one call from the start (its texts are not)."""


@functools.cache
def plain(name: str) -> Observation:
    of = compiled(name)
    executable = fresh(plain_executable(of))
    return observe(executable, batch_at(of.program, executable))


def seen(of: Compiled, graph: Graph) -> Observation:
    """A step of any graph of a compiled recipe."""
    executable = fresh(lowered(of, graph))
    return observe(executable, batch_at(of.program, executable))


@pytest.mark.parametrize("pass_", PIPELINE, ids=lambda pass_: pass_.name)
@pytest.mark.parametrize("name", recipe_names())
def test_a_pass_alone_keeps_the_step(name: str, pass_: Pass) -> None:
    of = compiled(name)
    graph = pass_.apply(of.plain, BATCH)
    if graph != of.plain:
        assert_equivalent(plain(name), seen(of, graph))


@pytest.mark.parametrize("name", recipe_names())
def test_the_pipeline_keeps_the_step(name: str) -> None:
    of = compiled(name)
    assert_same_start(of.executable, plain_executable(of))
    for stage in run(of.plain, BATCH):
        if stage.changed:
            assert_equivalent(plain(name), seen(of, stage.after))


@settings(max_examples=12)
@given(recipes())
def test_the_pipeline_keeps_the_step_of_any_recipe(recipe: str) -> None:
    of = compile_text(recipe)
    before = fresh(plain_executable(of))
    after = fresh(of.executable)
    batch = batch_at(of.program, before)
    assert_equivalent(observe(before, batch), observe(after, batch))


def test_every_pass_changes_some_recipe() -> None:
    """A pass that never applies is not tested by the others."""
    changing = {s.applied.name for name in recipe_names() for s in run(compiled(name).plain, BATCH) if s.changed}
    # What a recipe can write has no dead equations: tests/passes/test_passes.py has graphs that do.
    assert changing == {pass_.name for pass_ in PIPELINE} - {"dead-code"}


@pytest.mark.parametrize("name", recipe_names())
def test_a_representation_is_computed_once(name: str) -> None:
    of = compiled(name)
    shared = common_subexpressions(of.plain)
    assert encoder_calls(shared) == METHODS[name].calls
    assert encoder_calls(of.plain) == CALLS_BEFORE_SHARING.get(name, METHODS[name].calls)
    calls = [e for e in shared.equations if e.operation in ("encode", "encode_text")]
    asked = [(e.attribute("module"), e.arguments) for e in calls]
    assert len(set(asked)) == len(asked), "taps, symmetric directions and two captions included"
    assert seen(of, shared).calls == encoder_calls(shared)


def test_targets_that_ask_for_blocks_and_for_features_share_one_call() -> None:
    of = compile_text(TWO_DEPTHS)
    before, after = seen(of, of.plain), seen(of, common_subexpressions(of.plain))
    assert_equivalent(before, after)
    assert before.encoder_calls == {"image": 2, "momentum": 2}
    assert after.encoder_calls == {"image": 1, "momentum": 1}


def test_small_calls_are_fused_and_large_ones_are_not() -> None:
    of = compiled("table/11_instance_discrimination")
    views = common_subexpressions(compiled("moco_v3").plain)
    assert encoder_calls(optimize(of.plain, 8)) <= encoder_calls(of.plain)
    assert encoder_calls(optimize(views, 8)) == 2 < encoder_calls(optimize(views, 4096)) == 4


def test_what_differs_is_seen() -> None:
    """The harness itself: each part of an observation counts."""
    one = plain("densecl")
    assert_equivalent(one, plain("densecl"))
    name = next(name for name, gradient in one.gradients.items() if gradient is not None)
    others = (
        replace(one, outputs={**one.outputs, "loss": one.outputs["loss"] + 1e-8}),
        replace(one, outputs={k: v for k, v in one.outputs.items() if not k.startswith("losses/")}),
        replace(one, gradients={**one.gradients, name: None}),
        replace(one, buffers={name: value + 1 for name, value in one.buffers.items()}),
        replace(one, random=torch.zeros_like(one.random)),
    )
    for other in others:
        with pytest.raises(Disagreement):
            assert_equivalent(one, other)
