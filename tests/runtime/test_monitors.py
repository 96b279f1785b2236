"""Collapse monitors: formulas, and when they speak."""

import math

import pytest
import torch

from m3i_dsl.runtime.monitors import PATIENCE, CollapseMonitor, alignment, measure, seen_at_once


def healthy(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_healthy_tensor() -> None:
    found = measure(healthy(256, 16))
    assert found["std"] == pytest.approx(1.0, abs=0.05)
    assert found["spread"] == pytest.approx(1.0, abs=0.01)
    assert found["effective_rank"] > 15 and found["rank_share"] > 0.95
    # For uniform directions in 16 dimensions |u - v|^2 is about 2, so log mean exp(-2 * 2) is near -4.
    assert -4.2 < found["uniformity"] < -3


def test_a_collapsed_tensor() -> None:
    found = measure(torch.ones(32, 16) + 1e-4 * healthy(32, 16))
    assert found["std"] < 1e-3 and found["spread"] < 1e-3
    assert found["uniformity"] > -1e-3


def test_a_constant_tensor_has_finite_measures() -> None:
    found = measure(torch.zeros(8, 4))
    assert found["std"] == 0 and found["effective_rank"] == 1 and all(math.isfinite(v) for v in found.values())


def test_positions_that_differ_do_not_hide_images_that_do_not() -> None:
    positions = healthy(1, 9, 16)
    assert measure(positions.expand(8, 9, 16))["spread"] == 0
    assert measure(positions + healthy(8, 9, 16, seed=1))["spread"] > 0.5


def test_effective_rank_counts_dimensions() -> None:
    basis = torch.eye(5, dtype=torch.float64)
    rows = torch.cat([basis, -basis])  # five directions, equally strong
    assert measure(rows)["effective_rank"] == pytest.approx(5, rel=1e-9)
    line = healthy(40, 1) @ healthy(1, 12, seed=1)
    assert measure(line.float())["effective_rank"] == pytest.approx(1, abs=0.02)
    two = healthy(64, 2) @ healthy(2, 12, seed=1)
    singular = torch.linalg.svdvals(two - two.mean(0))[:2]
    p = singular / singular.sum()
    assert measure(two)["effective_rank"] == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-9)


def test_uniformity_and_alignment_by_hand() -> None:
    opposite = torch.tensor([[2.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    assert measure(opposite)["uniformity"] == pytest.approx(-8.0)  # |u - v|^2 = 4
    right_angle = torch.tensor([[1.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    assert alignment(right_angle, torch.tensor([[4.0, 0.0], [0.0, 1.0]])) == pytest.approx(0.0)
    assert alignment(right_angle, right_angle.flip(0)) == pytest.approx(2.0)


def test_one_sample_says_nothing() -> None:
    assert measure(healthy(1, 5, 4)) == {}


def test_many_rows_are_sampled() -> None:
    assert measure(healthy(64, 50, 8))["effective_rank"] > 7


def test_values_are_named_by_representation() -> None:
    values, notices = CollapseMonitor().observe(
        {
            "m3i.intra/prediction": healthy(16, 9, 4),
            "m3i.intra/target": healthy(16, 9, 4, seed=1),
            "codes/target": torch.zeros(16, 9, dtype=torch.int64),
        }
    )
    assert notices == []
    assert {"m3i.intra/prediction/spread", "m3i.intra/target/uniformity", "m3i.intra/alignment"} <= values.keys()
    assert not any(name.startswith("codes") for name in values)


def test_a_warning_comes_once_for_each_episode_and_says_what_to_do() -> None:
    monitor = CollapseMonitor()
    flat = {"m3i.intra/target": torch.ones(32, 8)}
    spoken = [len(monitor.observe(flat)[1]) for _ in range(PATIENCE + 3)]
    assert spoken == [0] * (PATIENCE - 1) + [1] + [0] * 3
    assert monitor.observe({"m3i.intra/target": healthy(32, 8)})[1] == []  # the episode is over
    notices = [notice for _ in range(PATIENCE) for notice in monitor.observe(flat)[1]]
    (notice,) = notices
    assert notice.code == "M3I0710"
    assert "target vectors of `m3i.intra`" in notice.message and "collapsing" in notice.message
    assert any("spread is 0" in note for note in notice.notes)
    assert "learning rate" in notice.helps[0]


def test_the_encoder_is_named_as_such() -> None:
    monitor = CollapseMonitor()
    notices = [n for _ in range(PATIENCE) for n in monitor.observe({"m3i/input": torch.ones(32, 9, 8)})[1]]
    assert "encoder's output in objective `m3i` is collapsing" in notices[0].message


def test_the_host_reads_once() -> None:
    """All that depends on the device is one vector: on tensors without content, a second read would raise."""
    names = ("o.t/prediction", "o.t/target", "o/input")
    representations = {name: torch.empty(8, 4, 6, device="meta") for name in names} | {
        "o.c/target": torch.empty(8, 4, dtype=torch.long, device="meta")
    }
    vector, shapes = seen_at_once(representations)
    assert vector.device.type == "meta"
    assert len(shapes) == 7 and sum(shape.numel() for shape in shapes.values()) == vector.numel()
    assert CollapseMonitor().observe({"o.c/target": torch.zeros(8, 4, dtype=torch.long)}) == ({}, [])
