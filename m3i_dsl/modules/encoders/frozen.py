"""A branch that takes no gradient: averages and frozen teachers.

Takes: any module. Gives: the same call. Guarantees: its forward runs under `no_grad`, its parameters do not require a
gradient, and its mode follows the program's: in training, batch norm uses the statistics of the batch, as SiameseIM and
MoCo do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class NoGradient(nn.Module):
    """Wraps `module`, whose parameters it sets to not require a gradient."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)

    @torch.no_grad()
    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.module(*arguments, **named)
