"""What a run takes of its machine: memory, and the share of the arithmetic that a device could do.

Takes: a device; numbers that the compiler counted. Gives: bytes in use, and the model FLOPs utilization (MFU).
Guarantees: nothing here waits for the device; what is not known (the MFU of a device without a known peak) is None, not
a guess.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from m3i_dsl.runtime.reporting.text import size


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `device_peak` is the most that tensors took at a time since the start, None on a CPU."""

    host: int
    device_peak: int | None = None
    device_total: int | None = None

    def text(self) -> str:
        """`31.2 of 79.1 GiB` of the device, `1.4 GiB` of the host where that is what computes."""
        if self.device_peak is None or self.device_total is None:
            return size(self.host)
        return f"{self.device_peak / 2**30:.1f} of {size(self.device_total)}"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`flops_per_sample`: of forward and backward, without what is computed twice. `peak`: FLOP/s of one device, as its
    datasheet has it for the dense products of this precision.
    """

    flops_per_sample: int
    peak: float

    def utilization(self, samples_per_second: float, devices: int) -> float:
        """MFU (Chowdhery et al. 2022, appendix B): the share of `devices` peaks that the model's FLOPs are."""
        return samples_per_second * self.flops_per_sample / (devices * self.peak)


def memory_of(device: torch.device) -> Memory:
    """What this process takes now."""
    if device.type != "cuda":
        return Memory(_resident())
    return Memory(
        _resident(), torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    )


def name_of(device: torch.device) -> str:
    """`NVIDIA H100 80GB HBM3`, `CPU`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()


def _resident() -> int:
    """Bytes of this process in main memory; where the system does not tell, the most that it ever had."""
    with contextlib.suppress(OSError):  # another system, or no descriptor is left: the next save will say so
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, others KiB
