"""Small encoders, splits and records that the tests of evaluation share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl.vocabulary.kinds import Split


class Tokens(nn.Module):
    """[B, 3, H, W] -> [B, 1 + 4, D]: a class token and the four quarters, through a linear layer and a batch norm."""

    def __init__(self, width: int = 8, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.linear = nn.Linear(3 * 16, width)
            self.norm = nn.BatchNorm1d(width)
            self.cls = nn.Parameter(torch.randn(width))
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        quarters = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        tokens = self.norm(self.linear(quarters).transpose(1, 2)).transpose(1, 2)
        return torch.cat([self.cls.expand(len(images), 1, -1), tokens], dim=1)


def split(count: int, categories: int = 3, seed: int = 0, noise: float = 0.3) -> Split:
    """8 x 8 images, each category around an image of its own (the same ones for every seed)."""
    centres = torch.randn(categories, 3, 8, 8, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % categories
    return Split(centres[labels] + noise * torch.randn(count, 3, 8, 8, generator=generator), labels)
