"""Candidate sets: how many there are, their and their logits, by hand."""

from __future__ import annotations

from m3i_dsl.ir.inputs import FieldInput
from m3i_dsl.plan.candidates import CandidateSet, candidate_sets
from tests.plan.programs import CATEGORIES, planned


def _sets(recipe: str) -> tuple[CandidateSet, ...]:
    of = planned(recipe)
    return candidate_sets(of.executable.graph, of.categories)


def test_no_candidates_without_a_boltzmann() -> None:
    assert _sets("mae") == ()


def test_categories() -> None:
    (found,) = _sets("supervised")
    assert (found.candidates, found.columns(4096)) == ("categories", CATEGORIES)
    assert found.logits(8, 4096) == 8 * CATEGORIES * 4


def test_samples_of_the_whole_batch() -> None:
    for found in _sets("moco_v3"):
        assert found.columns(4096) == 4096
        assert found.logits(256, 4096) == 256 * 4096 * 4


def test_predictions_are_as_many_again() -> None:
    for found in _sets("simclr"):
        assert found.columns(4096) == 2 * 4096


def test_texts_both_ways() -> None:
    (found,) = _sets("clip")
    assert (found.candidates, found.directions) == ("texts", 2)
    assert found.logits(256, 4096) == 2 * 256 * 4096 * 4


def test_a_queue_is_memory() -> None:
    both = _sets("densecl")
    assert {found.queue for found in both} == {1024}
    for found in both:
        assert found.queue_bytes == 1024 * found.width * 4
        assert found.columns(128) == 1025


def test_dense_logits_are_held_in_blocks() -> None:
    (found,) = _sets("table/10_dense_instance_discrimination")
    assert found.rows > 1
    assert found.columns(128) == 1 + 128 * found.per_sample
    assert found.held(2**16, 2**16) < found.logits(2**16, 2**16)
    assert found.held(8, 8) == found.logits(8, 8)


def test_large_losses_of_one_vector_a_row_hold_a_chunk_of_their_logits() -> None:
    (texts,) = _sets("clip")
    assert texts.held(1024, 1024) == texts.logits(1024, 1024) == 2 * 1024 * 1024 * 4
    assert texts.held(256, 2**15) == 128 * 2**15 * 4
    assert texts.held(4096, 4096) == 256 * 4096 * 4
    assert texts.held(32, 2**17) == 32 * 2**17 * 4  # fewer rows than a chunk
    (categories,) = _sets("supervised")
    assert categories.held(2**20, 2**20) == categories.logits(2**20, 2**20)


def test_candidates_of_other_devices_take_memory() -> None:
    of = planned("clip")
    plan = of.plan(world=8)
    (candidates,) = plan.candidates
    assert candidates.columns == 128
    assert plan.memory.more_candidates == 3 * 4 * 2 * (16 * 128 - 16 * 16)
    # Features of 64 numbers forth and back, both ways, and the tokens by which equal captions are told.
    (context,) = {i.value.type.dimensions[1] for i in of.executable.graph.inputs if isinstance(i.source, FieldInput)}
    assert isinstance(context, int)
    assert plan.communication.received("candidates") == 128 * (2 * 64 * (4 + 4) + 8 * context) * 7 / 8
