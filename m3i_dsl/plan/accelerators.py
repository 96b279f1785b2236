"""The constants of the model, by accelerator, each with its source.

Takes: a name and replacements. Gives: an `Accelerator`. Guarantees: every number that the time model uses is here and
can be replaced by `--constant NAME=VALUE`. Rates are what programs reach, not datasheet peaks.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_SHARE_OF_PEAK = 0.8
"""What a large matrix product reaches of the dense datasheet rate: 790 of 989 TFLOP/s on an H200."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, its unit and where it comes from."""

    value: float
    unit: str
    source: str


def _ours(value: float, unit: str, why: str) -> Constant:
    return Constant(value, unit, f"our choice: {why}")


_EFFICIENCY = _ours(0.4, "of the matrix rate", "what good public code reaches of it (36 to 58% of the datasheet peak)")
_OVERLAP = _ours(0.66, "of compute", "gradients are reduced behind the backward pass, two thirds of a step")
_LOGIT_PASSES = _ours(8, "passes", "write, scale, log-softmax and their gradients, each read or written once")
_LOGIT_COPIES = _ours(3, "copies", "logits, log-probabilities and a gradient at a time")
_DECODE = Constant(
    561, "images/s a core", "measured on one x86 core: JPEG of 100 kB decoded, cropped to 224, normalised"
)
_CORES = _ours(16, "cores a device", "what hosted machines have for each device")
_HOST = _ours(25e9, "bytes/s", "pinned memory over PCIe 4.0 of 16 lanes, four fifths of it")
_IMAGE = _ours(100e3, "bytes an image", "a JPEG of ImageNet has about 110 kB on average")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device and its place in a cluster."""

    name: str
    title: str
    matmul_bf16: Constant
    matmul_fp32: Constant
    memory: Constant
    memory_bandwidth: Constant
    node_bandwidth: Constant
    network_bandwidth: Constant
    node_size: Constant
    efficiency: Constant = _EFFICIENCY
    overlap: Constant = _OVERLAP
    logit_passes: Constant = _LOGIT_PASSES
    logit_copies: Constant = _LOGIT_COPIES
    decode_rate: Constant = _DECODE
    cores: Constant = _CORES
    image_bytes: Constant = _IMAGE
    host_bandwidth: Constant = _HOST
    peak_bf16: float | None = None
    """Dense FLOP/s of the datasheet, what an MFU is a share of; None where there is no datasheet."""
    peak_fp32: float | None = None
    driver_name: str = ""
    """A regular expression of the whole name that the driver gives it."""

    def constants(self) -> dict[str, Constant]:
        """All constants by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), Constant)
        }

    def value(self, name: str) -> float:
        return self.constants()[name].value

    def replaced(self, values: Mapping[str, float]) -> Accelerator:
        """With other constants. Raises UnknownConstant."""
        known = self.constants()
        for name, value in values.items():
            if name not in known:
                raise UnknownConstant(name, tuple(known))
            if not 0 < value < float("inf"):
                raise ValueError(f"`{name}` must be a number above 0, not {value:g}")
        changed = {name: Constant(value, known[name].unit, "given") for name, value in values.items()}
        return dataclasses.replace(self, **changed)


class UnknownConstant(ValueError):
    """The model has no constant of this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        super().__init__(f"there is no constant `{name}`; {hint}")


def _nvidia(
    name: str,
    title: str,
    *,
    bf16: float,
    fp32: float,
    memory: float,
    bandwidth: float,
    nvlink: float,
    network: float,
    driver_name: str,
    reached: str = "",
) -> Accelerator:
    """From datasheet numbers: dense TFLOP/s, GB, GB/s of memory, of NVLink and of the network in one direction."""
    sheet = f"NVIDIA {title} datasheet"
    rate = reached or f"{sheet}, {_SHARE_OF_PEAK:.0%} of it"
    return Accelerator(
        name=name,
        title=title,
        matmul_bf16=Constant(790e12 if reached else _SHARE_OF_PEAK * bf16 * 1e12, "FLOP/s", rate),
        matmul_fp32=Constant(_SHARE_OF_PEAK * fp32 * 1e12, "FLOP/s", f"{sheet} (no TF32), {_SHARE_OF_PEAK:.0%} of it"),
        memory=Constant(memory * 1e9, "bytes", sheet),
        memory_bandwidth=Constant(bandwidth * 1e9 / 1.2, "bytes/s", f"{sheet}, five sixths of it"),
        node_bandwidth=Constant(nvlink * 1e9 / 1.5, "bytes/s", f"{sheet}, NVLink in one direction, two thirds of it"),
        network_bandwidth=Constant(network * 1e9 * 0.8, "bytes/s", "one InfiniBand port a device, 80% of it"),
        node_size=_ours(8, "devices", "the usual node"),
        peak_bf16=bf16 * 1e12,
        peak_fp32=fp32 * 1e12,
        driver_name=driver_name,
    )


def peak_of(device: str, precision: Literal["bf16", "fp32"]) -> float | None:
    """Dense FLOP/s by datasheet of the device that the driver calls so; None for one that is not in the table.

    A PCIe card, or a slice of a card, is another device than the SXM module of the same number.
    """
    for accelerator in ACCELERATORS.values():
        if accelerator.driver_name and re.fullmatch(accelerator.driver_name, device):
            return accelerator.peak_bf16 if precision == "bf16" else accelerator.peak_fp32
    return None


_REACHED = "what large bf16 matrix products are reported to reach (datasheet: 989, dense)"

ACCELERATORS: Mapping[str, Accelerator] = {
    accelerator.name: accelerator
    for accelerator in (
        _nvidia(
            "b200",
            "B200",
            bf16=2250,
            fp32=75,
            memory=180,
            bandwidth=7700,
            nvlink=900,
            network=50,
            driver_name="NVIDIA B200",
        ),
        _nvidia(
            "h200",
            "H200 SXM",
            bf16=989,
            fp32=67,
            memory=141,
            bandwidth=4800,
            nvlink=450,
            network=50,
            driver_name="NVIDIA H200",
            reached=_REACHED,
        ),
        _nvidia(
            "h100",
            "H100 SXM",
            bf16=989,
            fp32=67,
            memory=80,
            bandwidth=3350,
            nvlink=450,
            network=50,
            driver_name="NVIDIA H100 80GB HBM3",
            reached=_REACHED,
        ),
        _nvidia(
            "a100",
            "A100 SXM",
            bf16=312,
            fp32=19.5,
            memory=80,
            bandwidth=2039,
            nvlink=300,
            network=25,
            driver_name=r"NVIDIA A100-SXM4-[48]0GB",
        ),
        Accelerator(
            name="cpu",
            title="CPU",
            matmul_bf16=_ours(50e9, "FLOP/s", "one core without bf16 arithmetic computes it in fp32"),
            matmul_fp32=_ours(50e9, "FLOP/s", "one core with 256-bit vectors; give your own"),
            memory=_ours(8e9, "bytes", "a small machine; give your own"),
            memory_bandwidth=_ours(10e9, "bytes/s", "one core's share"),
            node_bandwidth=_ours(5e9, "bytes/s", "processes of one machine"),
            network_bandwidth=_ours(1e9, "bytes/s", "10 Gbit/s Ethernet"),
            node_size=_ours(8, "devices", "processes on one machine"),
            efficiency=_ours(0.5, "of the matrix rate", "small layers"),
            cores=_ours(1, "cores a device", "the core that computes"),
            host_bandwidth=_ours(10e9, "bytes/s", "one core's share: the host is the device"),
        ),
    )
}
