"""Microbatches of a batch: the same result where the recipe allows it, refused where it does not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.microbatches import check_accumulation, microbatches_of
from tests.runtime.tiny import TinyStream, create, span_of, tiny_graph, tiny_objective, trainer


def trained(path: Path, microbatches: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    graph = tiny_graph(coupled=False, dropout=0.0, dtype=torch.float64)
    stream = TinyStream(dtype=torch.float64)
    display: Any = None
    with create(path) as run:
        job = trainer(run, graph, stream, accumulate=microbatches, batch_coupled=())
        display = job._report._display
        job.run()
    return graph.module.state_dict(), [progress.loss for progress in display.progress]


@pytest.mark.parametrize("microbatches", [2, 4, 8])
def test_accumulation_gives_the_same_weights_and_losses(tmp_path: Path, microbatches: int) -> None:
    whole, losses = trained(tmp_path / "whole", 1)
    parts, part_losses = trained(tmp_path / "parts", microbatches)
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-12, atol=1e-13)
    assert part_losses == pytest.approx(losses, rel=1e-13)


def test_microbatches_are_equal_and_in_order() -> None:
    batch = {"x": torch.arange(12).view(6, 2), "y": torch.arange(6)}
    parts = list(microbatches_of(batch, 3))
    assert [part["y"].tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert torch.equal(torch.cat([part["x"] for part in parts]), batch["x"])


def test_words_that_couple_the_batch_are_named_with_their_place(tmp_path: Path) -> None:
    where = span_of("target intra {}")
    coupled = [("`negative samples` compares every sample with all others of the batch", where)]
    with create(tmp_path / "run") as run, pytest.raises(RecipeError) as caught:
        trainer(run, tiny_graph(), accumulate=2, batch_coupled=coupled)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0703"
    assert diagnostic.span == where
    assert "negative samples" in diagnostic.message and "--accumulate 2" in diagnostic.message


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        check_accumulation(tiny_graph().program, 3, ())
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.span.text) == ("M3I0704", "batch 8")
    assert "2, 4, 8" in diagnostic.helps[0]


def test_mixed_pairs_stay_together() -> None:
    program = tiny_graph(objectives=(tiny_objective(pairs_images=object()),)).program
    check_accumulation(program, 4, ())
    with pytest.raises(RecipeError) as caught:
        check_accumulation(program, 8, ())
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0704" and "pairs of samples that are mixed" in diagnostic.message
    assert "2, 4" in diagnostic.helps[0] and "8" not in diagnostic.helps[0]


def test_one_slice_needs_no_permission() -> None:
    check_accumulation(tiny_graph().program, 1, [("anything", span_of("batch 8"))])
