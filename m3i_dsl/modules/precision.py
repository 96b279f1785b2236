"""How losses keep their precision under mixed precision.

Takes: any floating tensor. Gives: `wide`, the tensor in float32 at least, and `without_autocast`, the context in which
matrix products keep that dtype. float64 stays float64, so every loss can be checked against a float64 reference.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """`x` in float32 if it is narrower, else `x` itself."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """The context in which autocast leaves operations on the device of `x` alone."""
    if x.device.type == "meta":  # shapes only: there is no autocast to leave
        return nullcontext()
    return torch.autocast(device_type=x.device.type, enabled=False)
