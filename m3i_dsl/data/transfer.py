"""From the host to the device without waiting.

Takes: an array, a tensor or numbers on the host. Gives: a tensor on the device. Guarantees: on a GPU the copy goes
through pinned memory and in the order of the stream, so that the host does not wait for the steps before it to be
computed; torch keeps the memory until the copy is done. On a CPU nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def on_device(
    values: Tensor | NDArray[Any] | Sequence[float], device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """`values` on `device`, in `dtype` if it is given."""
    tensor = torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda":
        return tensor.to(device)
    pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
    return pinned.to(device, non_blocking=True)
