"""What a checkpoint holds.

Takes: live tensors by name and plain values. Gives: `Content`, and the table of its tensors. Guarantees: names, dtypes
and shapes are those of the whole tensors, so they are the same on every process and for every way of sharing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """`tensors`: live ones, some of them DTensors of which this process holds a shard; `plain` goes to JSON."""

    tensors: Mapping[str, Tensor]
    plain: Json


def described(tensor: Tensor) -> str:
    """The dtype and the global shape of a tensor: `float32[8, 6]`."""
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def table(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """What `described` says of each."""
    return {name: described(tensor) for name, tensor in tensors.items()}
