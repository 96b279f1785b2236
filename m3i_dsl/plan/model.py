"""How long a step takes, by a model with few constants.

Takes: what a step computes, holds and sends, and an accelerator. Gives: seconds, term by term. The formula:

    T = F b / (eta P) + max(0, T_sync - rho T_compute) + T_gather + T_logits + T_augmentation + T_update

Guarantees: plain arithmetic; no term depends on anything but its arguments. Optimistic: no stragglers, no stalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.plan.accelerators import Accelerator
from m3i_dsl.plan.exchanges import Exchange

FULL = 4
"""Bytes of a number in fp32."""


@dataclass(frozen=True, slots=True)
class Load:
    """One device's part of a step.

    `flops` forward and backward; `trained` and `averaged` numbers of scalars; `optimizer_state` bytes; `exchanges` with
    other devices; `logits` bytes of all logits; `images` that are decoded; `transferred` bytes from the host;
    `augmented` bytes that transforms read and write on the device.
    """

    flops: float
    bf16: bool
    trained: int
    averaged: int
    optimizer_state: float
    exchanges: tuple[Exchange, ...] = ()
    logits: float = 0.0
    images: float = 0.0
    transferred: float = 0.0
    augmented: float = 0.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. `sync` is the reduction of gradients (and the gathering of sharded weights) as a whole, `exposed` what
    compute does not hide of it; `gather` is candidates and statistics of the global batch; `averages` is a part of
    `update`; `data` is the time that the host needs for the same step, and `transfer` that of the copy to the device,
    both beside what it computes.
    """

    compute: float
    sync: float
    exposed: float
    gather: float
    logits: float
    augmentation: float
    update: float
    averages: float
    data: float
    transfer: float

    @property
    def device(self) -> float:
        return self.compute + self.exposed + self.gather + self._traffic

    @property
    def _traffic(self) -> float:
        """What memory bandwidth limits."""
        return self.logits + self.augmentation + self.update

    @property
    def step(self) -> float:
        """The device, the host and the copy between them work at the same time."""
        return max(self.device, self.data, self.transfer)

    @property
    def limit(self) -> Literal["compute", "memory bandwidth", "communication", "data"]:
        """The largest part of the step."""
        if max(self.data, self.transfer) > self.device:
            return "data"
        if self.compute >= max(self._traffic, self.exposed + self.gather):
            return "compute"
        return "memory bandwidth" if self._traffic >= self.exposed + self.gather else "communication"


def collective(volume: float, world: int, accelerator: Accelerator) -> float:
    """Seconds for an all-gather or reduce-scatter of `volume` bytes, first over nodes, then within each.

    volume (g - 1) / g / node_bandwidth + volume (n - 1) / n / (g network_bandwidth), for n nodes of g devices.
    """
    within = min(world, int(accelerator.value("node_size")))
    nodes = -(-world // within)
    local = volume * (within - 1) / within / accelerator.value("node_bandwidth")
    return local + volume * (nodes - 1) / nodes / (within * accelerator.value("network_bandwidth"))


def seconds_of(exchange: Exchange, accelerator: Accelerator) -> float:
    """Seconds for one collective; one across machines has a network port for each device."""
    volume = exchange.size * (2.0 if exchange.operation == "all-reduce" else 1.0)
    if exchange.across:
        return volume * (exchange.ranks - 1) / exchange.ranks / accelerator.value("network_bandwidth")
    return collective(volume, exchange.ranks, accelerator)


def step_times(load: Load, accelerator: Accelerator, shards: int = 1) -> Times:
    """The terms of the formula, where weights are cut into `shards`."""
    rate = accelerator.value("matmul_bf16" if load.bf16 else "matmul_fp32")
    bandwidth = accelerator.value("memory_bandwidth")
    compute = load.flops / (accelerator.value("efficiency") * rate)
    weights = [exchange for exchange in load.exchanges if exchange.purpose in ("parameters", "gradients")]
    others = [exchange for exchange in load.exchanges if exchange.purpose in ("candidates", "statistics")]
    sync = sum(seconds_of(exchange, accelerator) for exchange in weights)
    # AdamW: weight read and written, gradient read, two moments read and written: 28 bytes; an average 12.
    averages = 3 * FULL * load.averaged
    update = 3 * FULL * load.trained + 2 * load.optimizer_state + averages
    return Times(
        compute=compute,
        sync=sync,
        exposed=max(0.0, sync - accelerator.value("overlap") * compute),
        gather=sum(seconds_of(exchange, accelerator) for exchange in others),
        logits=accelerator.value("logit_passes") * load.logits / bandwidth,
        augmentation=load.augmented / bandwidth,
        update=update / shards / bandwidth,
        averages=averages / shards / bandwidth,
        data=load.images / (accelerator.value("decode_rate") * accelerator.value("cores")),
        transfer=load.transferred / accelerator.value("host_bandwidth"),
    )
