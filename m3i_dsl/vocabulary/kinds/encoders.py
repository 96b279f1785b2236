"""What turns views and texts into features.

Takes: arguments of an `encoder` statement. Gives: shapes for the checker and a module. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from m3i_dsl.vocabulary.kinds.faults import WordError
from m3i_dsl.vocabulary.kinds.predictors import Predictor
from m3i_dsl.vocabulary.kinds.shapes import FeatureShape, Grid, TextPooling
from m3i_dsl.vocabulary.values import Duration, Ramp
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class EncoderContext:
    """What an encoder is built for.

    `base` is the recipe's folder, which its files are relative to. `mask_token`: whether some call replaces hidden
    tokens by a learned one; without it an encoder needs none.
    """

    base: Path = Path()
    mask_token: bool = True


@dataclass(frozen=True, eq=False)
class TimmBackbone:
    """A trained model that timm has: `timm.create_model(architecture, **arguments)` takes the weights of `model`."""

    model: nn.Module
    architecture: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statistics:
    """By which pixels are normalised: (x - mean) / std of red, green and blue in [0, 1]. None: as the view does."""

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def close_to(self, other: Statistics) -> bool:
        """Whether both normalise alike, to three digits."""
        return all(
            abs(a - b) < 1e-3
            for own, its in ((self.mean, other.mean), (self.std, other.std))
            for a, b in zip(own or (), its or (), strict=True)
        )


class Encoder(Word):
    """f_theta or f_phi."""

    kind: ClassVar[Kind] = "encoder"
    modality: ClassVar[Literal["image", "text"]]

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other. Never imports torch."""
        return

    @abstractmethod
    def build(self, context: EncoderContext) -> nn.Module:
        """The module with random weights. Raises WordError."""

    def files(self) -> Mapping[str, str]:
        """The files that it reads or starts from, as the recipe names them, by the argument that does."""
        return {}

    def load(self, module: nn.Module, base: Path) -> None:
        """Replaces the weights of a built `module` by those that its arguments say to start from; relative to `base`.

        Raises WordError.
        """
        return

    def load_file(self, module: nn.Module, path: Path) -> None:
        """Replaces the weights of a built `module` by those of a file of a copy's own. Raises WordError."""
        raise WordError(f"`{self.name}` reads no files of weights", argument="weights")

    def folder_sha256(self, path: Path) -> str:
        """The sha256 of what it reads of a folder that one of its files is. Raises WordError."""
        raise WordError(f"it is a folder, and `{self.name}` reads a file")

    def label(self) -> str:
        """What a reader knows it by: the name of its model, where it is one of many."""
        return self.name

    def details(self) -> tuple[str, ...]:
        return (self.label(),)

    def yields(self, image: tuple[int, int] | None = None) -> str:
        """How many tokens of which width a picture says that it makes; `image` is (height, width), None: its own.

        Raises WordError when it cannot take images of that size.
        """
        return ""

    def backbone(self, module: nn.Module) -> TimmBackbone:
        """What is exported of the built `module`. Raises WordError, with the reason, when timm has no such model."""
        raise WordError(f"`{self.name}` is not a model of timm", help="export an encoder that is written `timm(...)`")

    def as_image(self) -> ImageEncoder | None:
        """Itself, if it encodes images."""
        return None

    def as_text(self) -> TextEncoder | None:
        """Itself, if it encodes texts."""
        return None

    def starts_from_weights(self) -> bool:
        """Whether it starts from weights that were trained elsewhere."""
        return False

    def trained_on(self) -> Statistics | None:
        """Of the pixels that its weights were trained on, where that is known."""
        return None

    def fitted(self, module: nn.Module, name: str, value: Tensor) -> Tensor:
        """`value`, which another encoder calls `name`, for a built `module` of this one: itself, or resampled."""
        return value


class EncoderCopy(Word):
    """An encoder that is made of another one, and starts as its copy: written `NAME of ENCODER`.

    It takes no gradient. Its module is the other's, so it builds none.
    """

    kind: ClassVar[Kind] = "encoder"

    def follows(self) -> Ramp | None:
        """How much of it stays at each step while it follows the encoder that it is of; None: it never moves."""
        return None

    def follows_over(self) -> Duration | None:
        """How long the ramp of `follows` takes; None: all of training."""
        return None

    def starts_from(self) -> str | None:
        """The file of weights, in the argument `weights`, that it starts from in place of the other's; None: none."""
        return None


class ImageEncoder(Encoder):
    """An encoder that yields a dense grid of features."""

    modality = "image"
    projector: Predictor | None

    def check(self) -> None:
        self.shape()

    def as_image(self) -> ImageEncoder:
        return self

    def yields(self, image: tuple[int, int] | None = None) -> str:
        shape = self.shape() if image is None else self.shape_at(image)
        return f"{shape.grid.rows}\u00d7{shape.grid.columns} tokens, {shape.width} wide"

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

    def tiny_image(self, side: int) -> int:
        """Height and width, in pixels, of images of at most `side` tokens on a side for its `shrunk` form.

        It can be made for every multiple as well. Without a smaller form it is its own size.
        """
        return self.shape().image[0]

    def statistics(self) -> Statistics:
        """What it wants its pixels normalised by."""
        return Statistics(None, None)

    def resizes(self) -> bool:
        """Whether a view of another size is resized to its own."""
        return False

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
    """An encoder of token ids i64 [B, T] to one vector for each token, [B, T, width], which `pool` makes one for each
    text. Its module takes `hidden` bool [B, T] by name where a mask hides tokens: a learned embedding replaces them.
    """

    modality = "text"
    width: int
    context: int
    pool: TextPooling

    def as_text(self) -> TextEncoder:
        return self

    def token_shape(self) -> FeatureShape:
        """A text as a row of tokens: a grid of 1 x context, in which padding has no place."""
        return FeatureShape(self.width, Grid(1, self.context), 0, 1, 1, (1, self.context))

    def looks_back(self) -> bool:
        """Whether a token attends to those up to itself only, so that the last one alone has seen the text."""
        return False

    def hideable(self, tokens: NDArray[np.int64], base: Path) -> NDArray[np.bool_]:
        """bool [B, T]: which of `tokens` a mask may hide: those of the text itself, not what begins or ends it."""
        return tokens != 0

    def yields(self, image: tuple[int, int] | None = None) -> str:
        return f"{self.context} tokens, {self.width} wide"

    @abstractmethod
    def tokenize(self, texts: list[str], base: Path) -> NDArray[np.int64]:
        """int64 [B, context] token ids, 0 = padding. Pure."""

    @abstractmethod
    def vocabulary_size(self, base: Path) -> int: ...


def image_encoder(encoder: Encoder | None) -> ImageEncoder:
    """What a representation of images is `of`, typed."""
    image = None if encoder is None else encoder.as_image()
    assert image is not None, "the checker knows that it is of an image encoder"
    return image


def text_encoder(encoder: Encoder | None) -> TextEncoder:
    """What a representation of texts is `of`, typed."""
    text = None if encoder is None else encoder.as_text()
    assert text is not None, "the checker knows that it is of a text encoder"
    return text
