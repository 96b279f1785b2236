"""bf16 where the device computes in it.

Takes: the recipe's precision and the device. Gives: the context to run the forward pass in, and a remark when it is not
what the recipe says. Guarantees: weights, optimizer states and averages stay in the module's own dtype.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

PrecisionName = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Precision:
    """What is computed in (`effective`) and why, if it is not what was asked for (`remark`)."""

    effective: PrecisionName
    device: torch.device
    remark: str | None = None

    def context(self) -> AbstractContextManager[object]:
        if self.effective == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def precision_for(wanted: PrecisionName, device: torch.device) -> Precision:
    """bf16 if wanted and the device has arithmetic for it, else fp32 with a remark."""
    if wanted == "fp32" or has_bf16(device):
        return Precision(wanted, device)
    return Precision(
        "fp32", device, f"the recipe asks for bf16, which this device ({device.type}) has no arithmetic for: using fp32"
    )


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is computed natively; emulated bf16 is slower than fp32 and gains nothing."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # torch has no public question for it. Both names exist since 2.5.
        cpu = torch.cpu
        return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())  # pyright: ignore[reportPrivateUsage]
    return False
