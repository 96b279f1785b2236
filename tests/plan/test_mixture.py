"""The plan of a mixture counts the rows that a target has."""

from __future__ import annotations

from m3i_dsl.driver import graphs
from m3i_dsl.plan.candidates import candidate_sets
from tests.numerics.mixture import program


def test_candidates_are_of_the_samples_that_have_the_field() -> None:
    of = program()
    sets = candidate_sets(graphs(of)[1], {"all": 12})
    (category, _, caption, _) = sets
    assert (category.choices(48), category.columns(48), category.logits(48, 48)) == (32, 12, 4 * 32 * 12)
    assert (caption.choices(12), caption.columns(48), caption.logits(12, 48)) == (8, 32, 4 * 8 * 32)
