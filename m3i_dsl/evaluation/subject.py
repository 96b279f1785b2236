"""What is measured: an encoder with its weights, or raw pixels.

Takes: an encoder module, or nothing. Gives: `Subject`s as evaluators know them. Guarantees: the features of a split are
computed once, each part by one process of the team, so a subject is made anew when weights have changed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from m3i_dsl.evaluation.baselines import raw_pixels, raw_pixels_note
from m3i_dsl.evaluation.features import Precision, broken_in, frozen, not_finite, pool_tokens, tokens_of
from m3i_dsl.evaluation.kept import Features
from m3i_dsl.vocabulary.kinds import ALONE, Pooling, Split, Team, TextPath


@dataclass(eq=False)
class _Subject:
    """What encoders and pixels share: that features are kept. All processes of `team` ask for them at once."""

    team: Team = field(default=ALONE, kw_only=True)
    _own: dict[tuple[Split, Pooling], Features] = field(
        default_factory=dict[tuple[Split, Pooling], Features], kw_only=True
    )
    _whole: dict[tuple[Split, Pooling], Tensor] = field(
        default_factory=dict[tuple[Split, Pooling], Tensor], kw_only=True
    )

    def features(self, split: Split, pool: Pooling) -> Tensor:
        """f32 [N, D] on the host. Raises EvaluationError (M3I0751, M3I0752) and TrainingFault (M3I0706)."""
        if (split, pool) not in self._whole:
            self._whole[split, pool] = self.own_features(split, pool).whole(self.team, split.places())
        return self._whole[split, pool]

    def own_features(self, split: Split, pool: Pooling) -> Features:
        """Those of the parts of this process. Raises EvaluationError (M3I0751, M3I0752) and TrainingFault (M3I0706)."""
        if (split, pool) not in self._own:
            found, broken = Features(), 0
            with self._ready():
                for number, images in split.parts(self.team):
                    features = self._computed(images, pool)
                    if number is not None:
                        found.add(number, features)
                        broken += broken_in(features)
            if total := sum(self.team.gathered(broken)):
                raise not_finite(total, len(split.labels))
            self._own[split, pool] = found
        return self._own[split, pool]

    @abstractmethod
    def _ready(self) -> Any:
        """Around all computations."""

    @abstractmethod
    def _computed(self, images: Tensor, pool: Pooling) -> Tensor:
        """[B, D] of images [B, 3, H, W]."""


@dataclass(eq=False)
class EncoderSubject(_Subject):
    """An encoder that maps images [B, 3, H, W] to tokens [B, prefix + N, D], in the precision that it trains in.

    `text_path` is that of the text target that trains it, None in a recipe without one.
    """

    encoder: nn.Module
    prefix: int
    text_path: TextPath | None = None
    precision: Precision = "fp32"

    @property
    def details(self) -> Mapping[str, Any]:
        return {}

    def _ready(self) -> Any:
        return frozen(self.encoder)

    def _computed(self, images: Tensor, pool: Pooling) -> Tensor:
        return pool_tokens(tokens_of(self.encoder, images, self.precision).float(), self.prefix, pool)


@dataclass(eq=False)
class PixelSubject(_Subject):
    """Raw pixels of images of one (height, width)."""

    size: tuple[int, int]

    encoder: None = None
    prefix: int = 0
    text_path: None = None

    @property
    def details(self) -> Mapping[str, Any]:
        return {"features": raw_pixels_note(*self.size)}

    def own_features(self, split: Split, pool: Pooling) -> Features:
        """However encoders pool."""
        return super().own_features(split, "mean")

    def features(self, split: Split, pool: Pooling) -> Tensor:
        """However encoders pool."""
        return super().features(split, "mean")

    def _ready(self) -> Any:
        return nullcontext()

    def _computed(self, images: Tensor, pool: Pooling) -> Tensor:
        with torch.no_grad():
            return raw_pixels(images)
