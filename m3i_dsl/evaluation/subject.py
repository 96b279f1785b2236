"""What is measured: an encoder with its weights, or raw pixels.

Takes: an encoder module, or nothing. Gives: `Subject`s as evaluators know them. Guarantees: the features of a split are
computed once, so a subject is made anew when weights have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from m3i_dsl.evaluation.baselines import raw_pixels, raw_pixels_note
from m3i_dsl.evaluation.features import Precision, finite, pooled_features
from m3i_dsl.vocabulary.kinds import Pooling, Split, TextPath


@dataclass(eq=False)
class EncoderSubject:
    """An encoder that maps images [B, 3, H, W] to tokens [B, prefix + N, D], in the precision that it trains in.

    `text_path` is that of the text target that trains it, None in a recipe without one.
    """

    encoder: nn.Module
    prefix: int
    text_path: TextPath | None = None
    precision: Precision = "fp32"
    batch: int = 256
    _features: dict[tuple[Split, Pooling], Tensor] = field(default_factory=dict[tuple[Split, Pooling], Tensor])

    @property
    def details(self) -> Mapping[str, Any]:
        return {}

    def features(self, split: Split, pool: Pooling) -> Tensor:
        """f32 [N, D] on the host. Raises EvaluationError (M3I0751, M3I0752)."""
        if (split, pool) not in self._features:
            self._features[split, pool] = pooled_features(
                self.encoder,
                split.images,
                prefix=self.prefix,
                pool=pool,
                batch=self.batch,
                precision=self.precision,
            )
        return self._features[split, pool]


@dataclass(eq=False)
class PixelSubject:
    """Raw pixels of images of one (height, width)."""

    size: tuple[int, int]
    _features: dict[Split, Tensor] = field(default_factory=dict[Split, Tensor])

    encoder: None = None
    prefix: int = 0
    text_path: None = None

    @property
    def details(self) -> Mapping[str, Any]:
        return {"features": raw_pixels_note(*self.size)}

    def features(self, split: Split, pool: Pooling) -> Tensor:
        """f32 [N, D] on the host, however encoders pool. Raises EvaluationError (M3I0751)."""
        if split not in self._features:
            self._features[split] = finite(raw_pixels(split.images))
        return self._features[split]
