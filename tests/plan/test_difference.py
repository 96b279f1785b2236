"""The semantic diff: layout makes none, a changed word one, at its place."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import resolve
from m3i_dsl.plan.difference import PlanDifference, differences
from tests.plan.programs import planned

TINY = {"width": "24", "depth": "2"}


def test_the_same_recipe_has_none() -> None:
    of = planned("mae", TINY)
    again = planned("mae", TINY, replace={"objective mae {": "# a remark\nobjective mae {\n"})
    text, other = resolve(of.executable.program), resolve(again.executable.program)
    assert differences(text, of.plan(), other, again.plan()) == ()


def test_a_word_and_its_row() -> None:
    before = planned("mae", TINY)
    after = planned(
        "mae", TINY, replace={"gaussian(tokens: hidden)": "laplace(tokens: hidden)", "batch     batch": "batch 64"}
    )
    found = differences(
        resolve(before.executable.program), before.plan(), resolve(after.executable.program), after.plan()
    )
    words = {(d.where, d.before, d.after) for d in found if d.kind == "words"}
    assert any(
        where == "objective mae > target pixels"
        and (old or "").startswith("distribution gaussian(")
        and (new or "").startswith("distribution laplace(")
        for where, old, new in words
    )
    assert [d for d in found if d.kind == "targets"] == [
        PlanDifference(kind="targets", where="mae.pixels: distribution", before="gaussian", after="laplace")
    ]
    assert PlanDifference(kind="training", where="batch", before="128", after="64", ratio=0.5) in found
    assert not any(d.kind in ("parameters", "encoders") for d in found)
    # What is computed once for all samples is more of each in a smaller batch.
    assert all(d.ratio == pytest.approx(1, abs=0.001) for d in found if d.kind == "FLOPs a sample")


def test_a_target_that_is_gone_and_a_size() -> None:
    before, after = planned("m3i", TINY), planned("m3i_no_mix", {**TINY, "width": "36"})
    found = differences(
        resolve(before.executable.program), before.plan(), resolve(after.executable.program), after.plan()
    )
    by_place = {(d.kind, d.where): d for d in found}
    assert by_place["targets", "m3i.intra: distribution"].after is None
    assert (by_place["parameters", "trained"].ratio or 0) > 1
    assert ("recipe m3i", "recipe m3i_no_mix") in {(d.before, d.after) for d in found if d.where == "recipe"}
