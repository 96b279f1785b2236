"""A mixture in which each target has rows of its own: the step is the one written by hand, whatever the passes do."""

from __future__ import annotations

import functools

import pytest

from m3i_dsl.testing import Case, assert_equivalent, case_of, observe, outcome_of
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.testing.properties.accumulation import ACCUMULATION
from m3i_dsl.testing.properties.permutation import PERMUTATION
from tests.numerics.comparison import Result, compare
from tests.numerics.mixture import RECIPE, WITH_CATEGORY, WITH_TEXT, case, program, reference


@functools.cache
def mixed() -> Case:
    return case()


@functools.cache
def expected() -> Result:
    return reference(mixed().copy(), mixed().batch())


def test_a_step_is_the_reference() -> None:
    executable, batch = mixed().copy(), mixed().batch()
    assert executable.program.training.batch == 12
    assert (len(batch["view1"]), len(batch["all_category"]), len(batch["all_text"])) == (12, 8, 8)
    compare(executable, expected(), batch)


def test_the_passes_keep_the_step() -> None:
    batch = mixed().batch()
    before, after = observe(mixed().plain(), batch), observe(mixed().copy(), batch)
    assert_equivalent(before, after)
    assert after.encoder_calls == {"image": 1, "momentum": 1, "words": 1}, "two views of the average are one call"


def test_no_gradient_reaches_rows_without_the_field() -> None:
    """Of a batch, only the samples that have a field move with its target: not even the partners of others."""
    for target, rows in (("category", WITH_CATEGORY), ("caption", WITH_TEXT)):
        executable, batch = mixed().copy(), mixed().batch()
        pixels = batch["view1"].requires_grad_()
        executable.module(**batch)["losses"][f"m3i.{target}"].backward()
        assert pixels.grad is not None
        moved = pixels.grad.flatten(1).abs().sum(1).nonzero().flatten().tolist()
        assert moved == rows


def test_a_batch_is_the_mean_of_its_microbatches() -> None:
    """What equal processes rely on: each has as many samples with a field. Texts compare samples, and are left out."""
    start, end = RECIPE.index("  target caption"), RECIPE.index("  weighting")
    alone = case_of(program(RECIPE[:start] + RECIPE[end:]))
    outcomes = {tested.name: outcome_of(tested, alone) for tested in (ACCUMULATION, PERMUTATION)}
    assert {name: outcome.status for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "passed")


def test_rows_of_another_source_are_noticed() -> None:
    """A graph that takes the rows of the wrong sources does not agree with the reference."""
    executable, batch = mixed().copy(), mixed().batch()
    chosen = [node for node in executable.module.graph.nodes if node.kwargs.get("which") == "0:2 4:6"]
    assert chosen
    for node in chosen:
        node.kwargs = {**node.kwargs, "which": "0:4"}
    executable.module.recompile()
    with pytest.raises(Disagreement, match=r"m3i\.caption|loss"):
        compare(executable, expected(), batch)
