"""What turns views and texts into features.

Takes: arguments of an `encoder` statement. Gives: shapes for the checker and a module. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from m3i_dsl.vocabulary.kinds.faults import WordError
from m3i_dsl.vocabulary.kinds.predictors import Predictor
from m3i_dsl.vocabulary.kinds.shapes import FeatureShape
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


class Encoder(Word):
    """f_theta or f_phi."""

    kind: ClassVar[Kind] = "encoder"
    modality: ClassVar[Literal["image", "text"]]

    @abstractmethod
    def build(self) -> nn.Module: ...

    def as_image(self) -> ImageEncoder | None:
        """Itself, if it encodes images."""
        return None

    def as_text(self) -> TextEncoder | None:
        """Itself, if it encodes texts."""
        return None


class ImageEncoder(Encoder):
    """An encoder that yields a dense grid of features."""

    modality = "image"
    projector: Predictor | None

    def as_image(self) -> ImageEncoder:
        return self

    @abstractmethod
    def shape(self) -> FeatureShape:
        """Raises WordError (name unknown, patch does not divide the image, ...). Never imports torch."""

    def shape_at(self, size: tuple[int, int]) -> FeatureShape:
        """The shape of its features of images of another (height, width). Raises WordError when it cannot take them."""
        shape = self.shape()
        if size != shape.image:
            height, width = shape.image
            raise WordError("it takes images of one size", help=f"give the view {height}x{width} px")
        return shape

    @abstractmethod
    def drops_tokens(self) -> bool:
        """Whether hidden tokens may be dropped (a ViT), or only replaced by mask tokens (hierarchical)."""

    def embeds_visible(self) -> bool:
        """Whether it can embed the patches of visible tokens only (`embed="visible"`), equal to rounding."""
        return False

    def packs(self) -> bool:
        """Whether it takes images of several sizes in one call, as a tuple, equal to rounding to a call for each."""
        return False

    def isolates(self) -> bool:
        """Whether attention can be kept within the tokens of each image of a mix."""
        return False

    def couples_batch(self) -> bool:
        """Whether one sample's features depend on the others' (batch norm)."""
        return False

    def projected_width(self) -> int:
        """The width after the projector, or the encoder's own."""
        width = self.shape().width
        return width if self.projector is None else self.projector.output_width(width, 0)


class TextEncoder(Encoder):
    """An encoder of token ids to one vector for each text."""

    modality = "text"
    width: int
    context: int

    def as_text(self) -> TextEncoder:
        return self

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other. Never imports torch."""
        return

    @abstractmethod
    def tokenize(self, texts: list[str], base: Path) -> NDArray[np.int64]:
        """int64 [B, context] token ids, 0 = padding. Pure."""

    @abstractmethod
    def vocabulary_size(self, base: Path) -> int: ...
