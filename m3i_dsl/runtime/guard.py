"""Non-finite losses: noticed before weights move, undone to the bit.

Takes: the module, before each step; the loss and the gradient norm, within it. Gives: whether to stop, or a flag on
the device that makes the optimizer and the averages skip. Guarantees: after `rewind`, buffers and random numbers are
what they were before the failing step, and no parameter, moment or average has moved since.

On a CPU the numbers are looked at within the step. On an accelerator that would make the host wait, so the flag stays
on the device until `poll`; once it is up it stays up, and every later step is skipped too. Among several processes the
verdict is that of all of them, given once a step (`decide`): a rank that stopped alone would leave the others waiting.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from m3i_dsl.runtime.state import RandomState, capture_random, restore_random

# One call for a list of tensors; torch has no public name for it.
_copy: Any = torch._foreach_copy_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


class NonFiniteStep(Exception):
    """Step `step` (0-based) had a non-finite loss or gradient; nothing of it was kept."""

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step} is not finite")
        self.step = step


class _Shadowed:
    """Buffers of one dtype and what they held, which lies in one piece: a choice between both is one kernel."""

    @torch.no_grad()
    def __init__(self, buffers: list[Tensor]) -> None:
        self._buffers = buffers
        self._whole = torch.cat([buffer.flatten() for buffer in buffers])
        parts = self._whole.split([buffer.numel() for buffer in buffers])
        self._shadows = [part.view(buffer.shape) for part, buffer in zip(parts, buffers, strict=True)]

    @torch.no_grad()
    def remember(self, not_if: Tensor | None) -> None:
        """Nothing where `not_if`, a flag on the device, is up."""
        if not_if is None:
            _copy(self._shadows, self._buffers)
        else:
            torch.where(not_if, self._whole, torch.cat([buffer.flatten() for buffer in self._buffers]), out=self._whole)

    @torch.no_grad()
    def bring_back(self) -> None:
        _copy(self._buffers, self._shadows)


class Guard:
    """Watches one module, whose buffers change in place.

    `deferred` keeps the verdict on the device until `poll`; `shared` makes it that of all processes.
    """

    def __init__(self, module: nn.Module, device: torch.device, *, deferred: bool, shared: bool = False) -> None:
        self.deferred = deferred
        self._device = device
        self._shared = shared
        self._bad = torch.zeros((), device=device)
        # Buffers that are not in the state dict are constants: what they held would be lost on resuming, too.
        state = module.state_dict()
        buffers = [buffer for name, buffer in module.named_buffers() if name in state]
        self._groups = [
            _Shadowed([buffer for buffer in buffers if buffer.dtype == dtype])
            for dtype in dict.fromkeys(buffer.dtype for buffer in buffers)
        ]
        self._random: list[tuple[int, RandomState]] = []
        self.skip = torch.zeros((), device=device)
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)

    def before(self, step: int) -> None:
        """Remembers what the forward pass of `step` is going to change besides gradients."""
        if not self.deferred:
            self._random.clear()
        self._random.append((step, capture_random(self._device)))
        # All of them, each time: batch norm changes its statistics without raising their version counters.
        for group in self._groups:
            group.remember(self.skip > 0 if self.deferred else None)

    def check(self, step: int, value: Tensor) -> None:
        """Looks at a scalar of `step`. Raises NonFiniteStep unless the verdict comes later."""
        if self.deferred or self._shared:
            self._bad = torch.maximum(self._bad, (~torch.isfinite(value.detach())).to(self._bad.dtype))
        elif not math.isfinite(value.detach().item()):
            raise NonFiniteStep(step)

    def decide(self, step: int, value: Tensor) -> None:
        """The last look at `step`, before anything moves. Raises NonFiniteStep unless deferred."""
        self.check(step, value)
        if self._shared:
            dist.all_reduce(self._bad, dist.ReduceOp.MAX)
        if self.deferred:
            self._first_bad = torch.where((self._bad > 0) & (self.skip == 0), step, self._first_bad)
            self.skip = torch.maximum(self.skip, self._bad)
        elif self._shared and self._bad.item() > 0:
            raise NonFiniteStep(step)

    def poll(self) -> None:
        """Asks the device. Raises NonFiniteStep for the first bad step since the start."""
        if self.deferred and (step := int(self._first_bad)) >= 0:
            raise NonFiniteStep(step)
        del self._random[:-1]

    def rewind(self, step: int) -> None:
        """Puts buffers and random numbers back to what they were before `step`, the failing one."""
        self._bad.zero_()
        for group in self._groups:
            group.bring_back()
        restore_random(dict(self._random)[step], self._device)
