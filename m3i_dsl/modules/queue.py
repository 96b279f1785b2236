"""A first-in first-out queue of past keys: more negatives than a batch holds (MoCo, He et al. 2020).

Takes: keys of each step, `[B, width]` over all processes. Gives: the last `size` keys, the same on all processes.
Guarantees: the start content is drawn with the initial weights, so two queues hold different keys; it is part of the
state dict; `push` never makes the device wait. Not pure: it must see each step once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.collectives import gather


class Queue(nn.Module):
    """`keys` [size, width], l2-normalised random rows at the start; `pointer` is the row that is replaced next."""

    keys: Tensor
    pointer: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        random = torch.randn(size, width, dtype=torch.float64)
        self.register_buffer("keys", F.normalize(random, dim=-1).to(torch.get_default_dtype()))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replaces the oldest rows by `keys`, as given: this process's rows of [B, width], in the order of the batch.

        Raises ValueError unless B divides the size.
        """
        keys = gather(keys.detach())
        size, count = self.keys.shape[0], keys.shape[0]
        if size % count:
            raise ValueError(f"a queue of {size} keys cannot take batches of {count}: the batch must divide the queue")
        rows = self.pointer + torch.arange(count, device=keys.device)
        self.keys.index_copy_(0, rows, keys.to(self.keys.dtype))
        self.pointer.copy_((self.pointer + count) % size)
