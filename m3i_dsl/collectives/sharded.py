"""The value of a tensor whose pieces lie on several ranks, and the piece of this one.

Takes: a tensor of a training whose weights may be sharded. Gives: an ordinary tensor. Guarantees: one that is not
sharded is given back as it is.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def whole(tensor: Tensor) -> Tensor:
    """The value of a tensor that may be spread over ranks, as an ordinary tensor."""
    spread: Any = tensor
    return spread.full_tensor() if hasattr(spread, "full_tensor") else tensor


def local(tensor: Tensor) -> Tensor:
    """The piece of a tensor that lies on this rank, in its memory."""
    spread: Any = tensor
    return spread.to_local() if hasattr(spread, "to_local") else tensor
