"""What is made of images before an encoder sees them: transforms, masks, mixes.

Takes: decoded images. Gives: views with their geometry, and which tokens are hidden. Guarantees: every random number is
a function of seed, epoch, sample and slot.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from m3i_dsl.vocabulary.kinds.shapes import Grid
from m3i_dsl.vocabulary.limits import Limits
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws

Interpolation = Literal["bicubic", "bilinear"]
"""The kernels of resampling, both antialiased."""


@dataclass(slots=True, eq=False)
class ViewState:
    """Where the pixels of B images come from; geometric steps read it and move it on.

    `sizes` int64 [B, 2]: (height, width) of the source images. `boxes` int64 [B, 4]: (top, left, height, width) of the
    part that the images now show, in source pixels after the flip. `flipped` bool [B]: mirrored left to right, before
    any crop.
    """

    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    @classmethod
    def whole(cls, sizes: NDArray[np.int64]) -> ViewState:
        """The state before any step: whole images of `sizes`, not flipped."""
        import numpy as np

        return cls(sizes, np.concatenate([np.zeros_like(sizes), sizes], axis=1), np.zeros(len(sizes), dtype=np.bool_))

    @classmethod
    def joined(cls, states: Sequence[ViewState]) -> ViewState:
        """All images of `states`, in order."""
        import numpy as np

        return cls(
            np.concatenate([state.sizes for state in states]),
            np.concatenate([state.boxes for state in states]),
            np.concatenate([state.flipped for state in states]),
        )

    def put(self, row: int, other: ViewState) -> None:
        """The one image of `other` stands at `row`."""
        self.sizes[row], self.boxes[row], self.flipped[row] = other.sizes[0], other.boxes[0], other.flipped[0]

    def geometry(self) -> NDArray[np.float32]:
        """float32 [B, 6]: (top, left, height, width, flip, image width), what `GeometryInput` holds."""
        import numpy as np

        columns = [self.boxes, self.flipped[:, None], self.sizes[:, 1:]]
        return np.concatenate(columns, axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Mirror:
    """A step that mirrors those of `flipped`, bool [B], left to right. It comes before any window."""

    flipped: NDArray[np.bool_]

    def follow(self, state: ViewState) -> None:
        """Moves `state` on."""
        state.flipped = state.flipped ^ self.flipped


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A step that resamples `boxes` to `output`, (height, width).

    `boxes` int64 [B, 4]: (top, left, height, width) in source pixels, from the corner of what was shown before.
    """

    boxes: NDArray[np.int64]
    output: tuple[int, int]
    interpolation: Interpolation

    def follow(self, state: ViewState) -> None:
        """Moves `state` on."""
        import numpy as np

        state.boxes = np.concatenate([state.boxes[:, :2] + self.boxes[:, :2], self.boxes[:, 2:]], axis=1)


class Transform(Word):
    """One step of a view: drawn for each sample, applied to the batch on the device.

    Steps up to the first that fixes the size may be applied to one picture at a time, before it leaves the process
    that decodes it.
    """

    kind: ClassVar[Kind] = "transform"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """(height, width) after this step given that before it; None while it is not known (source-sized).

        Raises WordError when the arguments do not fit each other or the size.
        """
        return size

    def details(self) -> tuple[str, ...]:
        """Its name, among the steps of its view."""
        return (self.name,)

    def shrunk(self, limits: Limits) -> Self:
        """Lengths in pixels that are sizes of images follow the sizes of views."""
        lengths = {
            parameter.name: limits.image(getattr(self, parameter.name))
            for parameter in self.parameters()
            if parameter.type.form == "number" and parameter.type.quantity and parameter.type.quantity.unit == "px"
        }
        return dataclasses.replace(self.with_tiny_arguments(limits), **lengths)  # type: ignore[type-var]  # words are dataclasses

    def move(self, state: ViewState, draws: Draws) -> Mirror | Window | None:
        """Where the pixels of images that are in `state` come from after this step, when that is all it does.

        None for a step that changes values.
        """
        return None

    @abstractmethod
    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        """images f32 [B, 3, H, W] in [0, 1] -> the same with this step done; geometric steps update `state`."""


class GeometricTransform(Transform):
    """A step that only moves the frame: `move` says all of it."""

    @abstractmethod
    def move(self, state: ViewState, draws: Draws) -> Mirror | Window: ...

    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        from m3i_dsl.data.augment.geometry import moved

        return moved(images, state, self.move(state, draws))


class Mask(Word):
    """Which tokens of a view are hidden from the encoder (True = hidden)."""

    kind: ClassVar[Kind] = "mask"
    tokens: Literal["drop", "mask"]
    """`drop`: hidden tokens do not enter the encoder. `mask`: a learned mask token replaces them."""

    def varies(self) -> bool:
        """Whether images differ in how many tokens are hidden; then a mask token replaces them (`tokens: mask`)."""
        return False

    @abstractmethod
    def hidden(self, grid: Grid, stride: int) -> int:
        """The exact number of hidden tokens, the same for every sample; the most of them if it `varies`. Raises
        WordError if the mask cannot fit.
        """

    @abstractmethod
    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        """bool [B, L], True = hidden, exactly `hidden(grid, stride)` True in each row; at most, if it `varies`."""


class TextMask(Mask):
    """Which tokens of a text are hidden from the encoder; texts differ in how many (`varies`)."""

    tokens: Literal["drop", "mask"] = "mask"

    def varies(self) -> bool:
        return True

    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        """Of texts that fill the grid."""
        import numpy as np

        return self.sample_texts(draws, np.ones((len(draws.samples), grid.tokens), dtype=np.bool_))

    @abstractmethod
    def sample_texts(self, draws: Draws, hideable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool [B, T], True = hidden, only where `hideable` bool [B, T] is: neither what begins or ends a text nor
        padding. At most `hidden` of them.
        """


class Mix(Word):
    """How two images become one input (X = {x_1, x_2}, encoded jointly): each token shows one of them.

    x = up(1 - m) * first + up(m) * second, with m the mask of the first image. Row 2k of the batch is mixed with row
    2k + 1, so each image is once the first and once the second.
    """

    kind: ClassVar[Kind] = "mix"

    attention: Literal["joint", "isolated"] = "joint"
    """Whether tokens of the two images attend to each other in the encoder."""

    context: Literal["own", "all"] = "own"
    """What a predictor sees: the tokens of its own image, or all with a learned source embedding."""

    @abstractmethod
    def mask(self) -> Mask:
        """Which tokens of the first image are the second's: a word of kind mask, which stands in the graph."""


class Blend(Word):
    """How an image and its label become those of two, `mixed VIEW by BLEND`: row 2k of the batch with row 2k + 1."""

    kind: ClassVar[Kind] = "mix"

    @abstractmethod
    def sample(self, draws: Draws, size: tuple[int, int]) -> NDArray[np.float32]:
        """float32 [B, 5]: for each image of `size`, (height, width), a box (top, left, bottom, right) that shows the
        partner, in pixels, and lambda: the share of its own label, and where the box is empty of its own pixels.
        """
