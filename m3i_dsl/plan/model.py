"""How long a step takes, by a model with few constants.

Takes: what a step computes, holds and sends, and an accelerator. Gives: seconds, term by term. The formula:

    T = F b / (eta P) + max(0, T_sync - rho T_compute) + T_gather + T_logits + T_update

Guarantees: plain arithmetic; no term depends on anything but its arguments. Optimistic: no stragglers, no stalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.plan.accelerators import Accelerator

Strategy = Literal["ddp", "fsdp"]
"""Weights on every device (ddp), or each device a part of them (fsdp)."""

FULL, HALF = 4, 2
"""Bytes of a number in fp32 and in bf16."""


@dataclass(frozen=True, slots=True)
class Load:
    """One device's part of a step.

    `flops` forward and backward; `trained` and `averaged` numbers of scalars; `optimizer_state` bytes; `gathered` bytes
    of candidates that each device ends up with (`bytes_of_gather`); `logits` bytes of all logits; `images` that are
    decoded.
    """

    flops: float
    bf16: bool
    trained: int
    averaged: int
    optimizer_state: float
    gathered: float = 0.0
    logits: float = 0.0
    images: float = 0.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. `sync` is the reduction of gradients (and the gathering of weights under fsdp) as a whole, `exposed`
    what compute does not hide of it; `data` is the time that the host needs for the same step, beside the device.
    """

    compute: float
    sync: float
    exposed: float
    gather: float
    logits: float
    update: float
    data: float

    @property
    def device(self) -> float:
        return self.compute + self.exposed + self.gather + self.logits + self.update

    @property
    def step(self) -> float:
        """The device and the host work at the same time."""
        return max(self.device, self.data)

    @property
    def limit(self) -> Literal["compute", "memory bandwidth", "communication", "data"]:
        """The largest part of the step."""
        if self.data > self.device:
            return "data"
        if self.compute >= max(self.logits + self.update, self.exposed + self.gather):
            return "compute"
        return "memory bandwidth" if self.logits + self.update >= self.exposed + self.gather else "communication"


def sent_bytes(load: Load, world: int, strategy: Strategy) -> float:
    """Bytes that a step brings to each device for weights and gradients: 2 S (W - 1) / W of an all-reduce of S bytes.

    fsdp gathers the bf16 weights in the forward and the backward pass, those of averages once, and scatters gradients.
    """
    return _sync_volume(load, strategy) * (world - 1) / world


def _sync_volume(load: Load, strategy: Strategy) -> float:
    if strategy == "ddp":
        return 2.0 * FULL * load.trained
    return (2 * HALF + FULL) * load.trained + HALF * load.averaged


def bytes_of_gather(batch: int, width: int, tensors: int, *, bf16: bool, gradient: bool) -> int:
    """Bytes of `tensors` x [batch, width] features gathered over all devices, and of their gradients scattered back."""
    return tensors * batch * width * ((HALF if bf16 else FULL) + (FULL if gradient else 0))


def collective(volume: float, world: int, accelerator: Accelerator) -> float:
    """Seconds for an all-gather or reduce-scatter of `volume` bytes, first over nodes, then within each.

    volume (g - 1) / g / node_bandwidth + volume (n - 1) / n / (g network_bandwidth), for n nodes of g devices.
    """
    within = min(world, int(accelerator.value("node_size")))
    nodes = -(-world // within)
    local = volume * (within - 1) / within / accelerator.value("node_bandwidth")
    return local + volume * (nodes - 1) / nodes / (within * accelerator.value("network_bandwidth"))


def step_times(load: Load, world: int, accelerator: Accelerator, strategy: Strategy = "ddp") -> Times:
    """The terms of the formula for `world` devices."""
    rate = accelerator.value("matmul_bf16" if load.bf16 else "matmul_fp32")
    bandwidth = accelerator.value("memory_bandwidth")
    compute = load.flops / (accelerator.value("efficiency") * rate)
    sync = collective(_sync_volume(load, strategy), world, accelerator)
    # AdamW: weight read and written, gradient read, two moments read and written: 28 bytes; an average 12.
    update = 3 * FULL * (load.trained + load.averaged) + 2 * load.optimizer_state
    return Times(
        compute=compute,
        sync=sync,
        exposed=max(0.0, sync - accelerator.value("overlap") * compute),
        gather=collective(load.gathered, world, accelerator),
        logits=accelerator.value("logit_passes") * load.logits / bandwidth,
        update=update / (world if strategy == "fsdp" else 1) / bandwidth,
        data=load.images / (accelerator.value("decode_rate") * accelerator.value("cores")),
    )
