"""Pictures that cost little to read, and an encoder that costs little to compute."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from m3i_dsl.vocabulary.kinds import Dataset, Picture, Sample, SourceDescription

SIDE = 224
CATEGORIES = 10
TRAIN, TEST = 1_281_167, 50_000

_STORED = 12
_PICTURES = 4096


def _pictures() -> NDArray[np.uint8]:
    """uint8 [P, 12, 12, 3]: around one of each category, which are near each other."""
    draws = np.random.default_rng(0)
    centres = draws.normal(128, 6, (CATEGORIES, _STORED, _STORED, 3))
    made = centres[np.arange(_PICTURES) % CATEGORIES] + draws.normal(0, 30, (_PICTURES, _STORED, _STORED, 3))
    return made.clip(0, 255).astype(np.uint8)


_STOCK = _pictures()


@dataclass(frozen=True)
class Repeating(Dataset):
    """`count` pictures, of which `first` is the first: the same few thousand over and over."""

    count: int
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        which = (self.first + index) % _PICTURES
        return {
            "image": Picture(partial(_STOCK.__getitem__, which), (_STORED, _STORED)),
            "category": which % CATEGORIES,
        }

    def description(self) -> SourceDescription:
        raise NotImplementedError("it is measured, not compiled")


class Small(nn.Module):
    """Images [B, 3, 224, 224] -> tokens [B, 16, width]: patches of 56 px, averaged to 8 x 8 and projected."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.projected = nn.Linear(3 * 8 * 8, width)

    def forward(self, images: Tensor) -> Tensor:
        small = F.avg_pool2d(images, SIDE // 32)
        patches = F.unfold(small, 8, stride=8).transpose(1, 2)
        return self.projected(patches).tanh()

    def embed_images(self, images: Tensor) -> Tensor:
        """The path of a text target: the mean token."""
        with torch.no_grad():
            return self(images).mean(dim=1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Any vector for a text."""
        made = (torch.Generator().manual_seed(sum(map(ord, text))) for text in texts)
        return torch.stack([torch.randn(self.projected.out_features, generator=one) for one in made])
