"""The semantic diff: layout makes none, a changed word one, at its place."""

from __future__ import annotations

from m3i_dsl.driver import resolve
from m3i_dsl.plan.difference import differences
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
        "mae", TINY, replace={"gaussian(tokens: hidden)": "laplace(tokens: hidden)", "batch     128": "batch 64"}
    )
    found = differences(
        resolve(before.executable.program), before.plan(), resolve(after.executable.program), after.plan()
    )
    words = {(d.where, d.before, d.after) for d in found if d.kind == "text"}
    assert any(
        where == "objective mae > target pixels"
        and (old or "").startswith("distribution gaussian(")
        and (new or "").startswith("distribution laplace(")
        for where, old, new in words
    )
    (row,) = [d for d in found if d.kind == "target"]
    assert row.where == "mae.pixels"
    assert (row.before or "").endswith("gaussian")
    assert (row.after or "").endswith("laplace")
    assert ("batch", "128", "64") in {(d.where, d.before, d.after) for d in found if d.kind == "training"}
    assert not any(d.kind in ("parameters", "encoder", "flops") for d in found)
