"""A branch that takes no gradient: averages and frozen teachers.

Takes: any module. Gives: the same call. Guarantees: its forward runs under `no_grad`, its parameters do not require a
gradient, and it takes no random decision: depth and features are never dropped, as in DINO's and iBOT's teachers.
Otherwise the mode of an average follows the program's: in training, batch norm uses the statistics of the batch, as
SiameseIM and MoCo do. A frozen one stays in evaluation mode, so that no buffer changes, as in FD and data2vec.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from timm.layers.drop import DropPath
from torch import nn
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]  # of all of torch's


class NoGradient(nn.Module):
    """Wraps `module`, whose parameters it sets to not require a gradient."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self.module.modules():
            if isinstance(part, DropPath | _DropoutNd):
                part.train(False)
        return self

    @torch.no_grad()
    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.module(*arguments, **named)


class FrozenEncoder(NoGradient):
    """Never moves: its mode is that of evaluation whatever the program's."""

    def train(self, mode: bool = True) -> Self:
        super().train(False)
        self.training = mode
        return self
