"""The time model: the worked cases of its design, bytes by hand, and its monotony."""

from __future__ import annotations

import dataclasses

import pytest

from m3i_dsl.plan import ACCELERATORS, UnknownConstant, WorldFault
from m3i_dsl.plan.exchanges import Exchange
from m3i_dsl.plan.images import augmented, transferred
from m3i_dsl.plan.model import Load, collective, seconds_of, step_times
from tests.numerics.recipes import compiled
from tests.plan.programs import RECIPES, planned

H200 = ACCELERATORS["h200"]


def _load(scalars: float, averaged: float, flops: float, batch: int, world: int) -> Load:
    """Image and text features of 512 numbers gathered in bf16, their gradients scattered back in fp32."""
    return Load(
        flops=flops * batch,
        bf16=True,
        trained=int(scalars),
        averaged=int(averaged),
        optimizer_state=8 * scalars,
        exchanges=(*_weights(scalars, averaged, world, "none"), *_features(batch * world, world)),
    )


def _weights(scalars: float, averaged: float, world: int, sharding: str) -> list[Exchange]:
    """Gradients in fp32; weights in bf16, in both passes, and those of averages once."""
    if sharding == "none":
        return [Exchange("all-reduce", "gradients", int(4 * scalars), world)]
    gathered = [Exchange("all-gather", "parameters", int(2 * size), world) for size in (scalars, scalars, averaged)]
    return [*gathered, Exchange("reduce-scatter", "gradients", int(4 * scalars), world)]


def _features(batch: int, world: int) -> list[Exchange]:
    """Two of 512 numbers, in bf16, and their gradients in fp32."""
    return [
        Exchange("all-gather", "candidates", 2 * batch * 512 * 2, world),
        Exchange("reduce-scatter", "candidates", 2 * batch * 512 * 4, world),
    ]


@pytest.mark.parametrize(
    ("world", "sync", "gather"), [(1, 0.0, 0.0), (8, 4.7e-3, 0.04e-3), (64, 9.0e-3, 0.57e-3), (512, 9.6e-3, 4.8e-3)]
)
def test_m3i_vit_b_with_text(world: int, sync: float, gather: float) -> None:
    """0.2 B parameters, 244 GFLOP a sample, 256 samples a device."""
    times = step_times(_load(0.2e9, 0.2e9, 244e9, 256, world), H200)
    assert times.compute == pytest.approx(198e-3, rel=0.005)
    assert times.sync == pytest.approx(sync, rel=0.01)
    assert times.gather == pytest.approx(gather, rel=0.1 if gather < 1e-4 else 0.01)
    assert times.update == pytest.approx(2.0e-3, rel=0.01)
    assert times.exposed == 0
    assert times.step == pytest.approx(times.compute + times.gather + times.update)
    assert times.limit == "compute"


def test_1_4_b_parameters_on_512_devices() -> None:
    load = _load(1.4e9, 1.4e9, 2.6e12, 64, 512)
    exchanges = (*_weights(1.4e9, 1.4e9, 512, "fsdp"), *_features(64 * 512, 512))
    whole, sharded = step_times(load, H200), step_times(dataclasses.replace(load, exchanges=exchanges), H200, 512)
    assert whole.compute == pytest.approx(527e-3, rel=0.005)
    assert whole.sync == pytest.approx(67e-3, rel=0.01)
    assert sharded.sync == pytest.approx(84e-3, rel=0.01)
    assert whole.gather == pytest.approx(1.2e-3, rel=0.02)
    assert whole.update == pytest.approx(14e-3, rel=0.01)
    assert sharded.update == pytest.approx(0.03e-3, rel=0.1)
    assert whole.step == pytest.approx(542e-3, rel=0.005)
    assert sharded.step == pytest.approx(528e-3, rel=0.005)


def test_bytes_by_hand() -> None:
    assert Exchange("all-reduce", "gradients", 4000, 4).received == 2 * 4000 * 3 / 4
    assert Exchange("all-gather", "parameters", 4000, 4).received == 4000 * 3 / 4
    assert Exchange("reduce-scatter", "gradients", 4000, 1).received == 0


def test_a_collective_by_hand() -> None:
    accelerator = H200.replaced({"node_bandwidth": 100.0, "network_bandwidth": 10.0, "node_size": 4.0})
    assert collective(400.0, 1, accelerator) == 0
    assert collective(400.0, 4, accelerator) == 400 * 3 / 4 / 100
    assert collective(400.0, 8, accelerator) == 400 * 3 / 4 / 100 + 400 * 1 / 2 / (4 * 10)
    # Each of four devices sums its quarter with that of the other node, over a port of its own.
    assert seconds_of(Exchange("all-reduce", "gradients", 100, 2, across=True), accelerator) == 2 * 100 * 1 / 2 / 10


def test_communication_that_compute_cannot_hide_is_in_the_step() -> None:
    exchanges = tuple(_weights(1e9, 0, 512, "none"))
    load = Load(flops=1.0, bf16=True, trained=10**9, averaged=0, optimizer_state=0, exchanges=exchanges)
    times = step_times(load, H200)
    assert times.exposed == pytest.approx(times.sync)
    assert times.limit == "communication"


def test_data_limits_when_the_host_is_slower() -> None:
    load = Load(flops=1e9, bf16=True, trained=1000, averaged=0, optimizer_state=8000, images=561 * 16)
    times = step_times(load, H200)
    assert (times.data, times.step, times.limit) == (pytest.approx(1.0), pytest.approx(1.0), "data")


def test_images_travel_beside_and_are_changed_in_the_step() -> None:
    load = Load(flops=0, bf16=True, trained=100, averaged=50, optimizer_state=800, transferred=50e9, augmented=8e9)
    times = step_times(load, H200)
    bandwidth = H200.value("memory_bandwidth")
    assert times.augmentation == pytest.approx(8e9 / bandwidth)
    assert times.averages == pytest.approx(12 * 50 / bandwidth)
    assert times.update == pytest.approx((28 * 100 + 12 * 50) / bandwidth)
    assert times.device == pytest.approx(times.augmentation + times.update)
    assert (times.transfer, times.step, times.limit) == (pytest.approx(2.0), pytest.approx(2.0), "data")


def test_views_are_counted_as_they_travel_and_change() -> None:
    """One view of 32 px that a flip and a crop fix before it travels; jitter and normalize are left to the device."""
    of = compiled("mae").executable
    pixels = 3 * 32 * 32
    assert transferred(of.program, of.inputs) == pixels
    assert augmented(of.program, of.inputs) == pixels * (1 + 4 + 2 * 8)


@pytest.mark.parametrize("constant", ["efficiency", "matmul_bf16", "memory_bandwidth", "node_bandwidth", "overlap"])
def test_a_better_constant_never_makes_a_step_slower(constant: str) -> None:
    exchanges = (*_weights(1e9, 1e9, 64, "none"), *_features(2**18, 64))
    load = Load(
        flops=1e12, bf16=True, trained=10**9, averaged=10**9, optimizer_state=8e9, exchanges=exchanges, logits=1e9
    )
    steps = [step_times(load, H200.replaced({constant: value * H200.value(constant)})).step for value in (1, 2, 4)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > steps[-1]


def test_more_work_never_makes_a_step_faster() -> None:
    def step(flops: float, world: int) -> float:
        return step_times(_load(1e8, 1e8, flops, 64, world), H200).step

    by_flops = [step(flops, 8) for flops in (1e9, 1e10, 1e11)]
    by_world = [step(1e10, world) for world in (1, 8, 16, 64, 512)]
    assert by_flops == sorted(by_flops)
    assert by_world == sorted(by_world)


def test_a_plan_divides_the_batch_over_devices() -> None:
    of = planned("m3i")
    plan = of.plan(world=16)
    assert (plan.local_batch, plan.nodes) == (8, 2)
    assert plan.communication.received("gradients") == 2 * 4 * plan.parameters.trained * 15 / 16
    assert plan.flops == of.plan().flops
    with pytest.raises(WorldFault, match="cannot be divided over 24 devices"):
        of.plan(world=24)
    with pytest.raises(WorldFault, match="no whole pairs"):
        of.plan(world=128)


def test_an_unknown_constant_is_named() -> None:
    with pytest.raises(UnknownConstant, match="did you mean `efficiency`"):
        H200.replaced({"eficiency": 0.5})
    with pytest.raises(ValueError, match="above 0"):
        H200.replaced({"efficiency": 0.0})


def test_every_constant_has_a_source() -> None:
    for accelerator in ACCELERATORS.values():
        for name, constant in accelerator.constants().items():
            assert constant.value > 0, name
            assert constant.unit, name
            assert len(constant.source) > 8, name


def test_the_page_has_every_constant() -> None:
    page = (RECIPES.parent / "docs/plan.md").read_text(encoding="utf-8")
    for name, constant in H200.constants().items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert constant.source in row
        assert row.count("|") == len(ACCELERATORS) + 3
