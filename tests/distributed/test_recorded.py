"""A recorded world: shapes and records of collectives that nobody sends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.collectives import World, alone, drawn, gather, largest, mean, offset, own, recorded, total, world

ROWS, WIDTH, WORLD = 2, 3, 4


def _rows(device: str = "meta") -> Tensor:
    return torch.ones(ROWS, WIDTH, device=device, requires_grad=True)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_each_function_yields_the_shape_of_the_world_and_says_what_it_sends(device: str) -> None:
    with recorded(WORLD) as record:
        assert world() == World(0, WORLD)
        rows = _rows(device)
        assert gather(rows).shape == (WORLD * ROWS, WIDTH)
        assert gather(rows.detach() > 0, "statistics").dtype == torch.bool
        assert total(rows).shape == mean(rows).shape == largest(rows).shape == (ROWS, WIDTH)
        assert (own(gather(rows.detach())).shape, offset(ROWS)) == ((ROWS, WIDTH), 0)
        assert drawn(rows.detach(), (ROWS, 5), Tensor.normal_).shape == (ROWS, 5)
    assert [(sent.operation, sent.purpose, sent.size) for sent in record.sent] == [
        ("all-gather", "candidates", 4 * WORLD * ROWS * WIDTH),
        ("all-gather", "statistics", WORLD * ROWS * WIDTH),
        *[("all-reduce", "statistics", 4 * ROWS * WIDTH)] * 3,
        ("all-gather", "candidates", 4 * WORLD * ROWS * WIDTH),
    ]


def test_backward_passes_are_recorded_when_they_run() -> None:
    with recorded(WORLD) as record:
        rows = _rows()
        loss = gather(rows, "statistics").square().sum() * total(rows).sum()
        assert [sent.operation for sent in record.sent] == ["all-gather", "all-reduce"]
        (first,) = torch.autograd.grad(loss, rows, create_graph=True)
        forward = len(record.sent)
        assert {(s.operation, s.purpose) for s in record.sent[2:]} == {
            ("reduce-scatter", "statistics"),
            ("all-reduce", "statistics"),
        }
        first.square().sum().backward()
    assert "all-gather" in {sent.operation for sent in record.sent[forward:]}, "the adjoint of a scatter"


def test_records_nest_and_end() -> None:
    with recorded(WORLD) as outer:
        with recorded(2) as inner:
            assert gather(_rows()).shape == (2 * ROWS, WIDTH)
        with alone():
            assert world().size == 1
            total(_rows())
        assert world().size == WORLD
        largest(_rows())
    assert [sent.size for sent in inner.sent] == [4 * 2 * ROWS * WIDTH]
    assert [sent.size for sent in outer.sent] == [4 * ROWS * WIDTH]

    with pytest.raises(RuntimeError, match="in the middle"), recorded(WORLD):
        raise RuntimeError("in the middle")
    assert world() == World(0, 1)
    rows = _rows("cpu")
    assert gather(rows) is rows


def test_a_world_has_a_process() -> None:
    with pytest.raises(ValueError, match="at least one process, not 0"), recorded(0):
        pass
    assert world() == World(0, 1)
