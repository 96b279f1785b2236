"""A number in the graph that moves over training: `0.04 -> 0.07 linear`.

Takes: its ramp and how long it takes. Gives: a module that yields its value now, a scalar on the device. Guarantees:
the value is set from the number of the step before each step (runtime/schedule.py), so it is a function of the step,
not state: it is in no checkpoint, and a resumed run has the same one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl.vocabulary.values import Duration, Ramp


class ScheduledScalar(nn.Module):
    """The value of `ramp`, which ends after `over` (None: with the training); its start until somebody sets it."""

    value: Tensor

    def __init__(self, ramp: Ramp, over: Duration | None) -> None:
        super().__init__()
        self.ramp = ramp
        self.over = over
        # In float64, which as a scalar leaves the dtype of what it meets: a step in float64 has the number as written.
        self.register_buffer("value", torch.tensor(ramp.start, dtype=torch.float64), persistent=False)

    @torch.no_grad()
    def set(self, value: float) -> None:
        """Does not make the host wait."""
        self.value.fill_(value)

    def forward(self) -> Tensor:
        return self.value
