"""What a field of a sample is: a picture, a text, a number of a category.

Takes: a stored value; then the decoded values of a batch. Gives: a decoded value; an array. Guarantees: both are
functions of what they are given alone, so that a batch has the same bits whoever makes it; no torch at import.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from m3i_dsl.vocabulary.kinds.encoders import Encoder
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


class Unreadable(Exception):
    """A stored value that cannot be decoded. Whoever read it makes a BrokenSample of it, which names the sample."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What a source says of the values that it stores.

    `canvas` is the side of the square in pixels that pictures are resampled to whole (None: they stay as they are);
    `categories` the names in label order, of which two may be equal; `numbers` the number that is stored for each
    (None: they count from 0); `largest` the pixels that a picture may have (None: as many as the decoder allows by
    itself); `labels` the label of each name and of each number.
    """

    canvas: int | None = None
    categories: tuple[str, ...] = ()
    numbers: tuple[int, ...] | None = None
    largest: int | None = None
    labels: Mapping[str | int, int] = field(init=False)

    def __post_init__(self) -> None:
        numbers = range(len(self.categories)) if self.numbers is None else self.numbers
        named = {name: label for label, name in enumerate(self.categories)}
        object.__setattr__(self, "labels", {**named, **{number: label for label, number in enumerate(numbers)}})


class Picture:
    """A picture, whose pixels may wait to be decoded until they are asked for.

    `size` is the (height, width) in pixels of the picture as stored, which crops are drawn in.
    """

    __slots__ = ("_pixels", "size")

    def __init__(self, pixels: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]], size: tuple[int, int]) -> None:
        """`pixels` may be what decodes them, anew each time. Then it raises BrokenSample."""
        self._pixels, self.size = pixels, size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] RGB: the picture itself, or all of it resampled to a square canvas."""
        return self._pixels() if callable(self._pixels) else self._pixels

    @property
    def loaded(self) -> Picture:
        """With its pixels in memory."""
        return Picture(self._pixels(), self.size) if callable(self._pixels) else self


class Modality(Word):
    """What a field of a source is: how its values are read. A recipe names fields, never their modality.

    `singular` and `plural` are what messages call its values: "an image", "images".
    """

    kind: ClassVar[Kind] = "modality"
    singular: ClassVar[str]
    plural: ClassVar[str]
    views: ClassVar[bool] = False
    """Whether a view can be of it, and a target of its views; a target reads any other field as it is."""
    of_categories: ClassVar[bool] = False
    """Whether its values have labels of the source's categories in them, which a mixture numbers anew."""
    tokenized: ClassVar[bool] = False
    """Whether the encoder of a target makes numbers of its values."""

    @abstractmethod
    def decode(self, stored: Any, storage: Storage) -> Any:
        """The value of a sample. Raises Unreadable, whose text ends a sentence about the stored value."""

    def holds(self, value: Any) -> bool:
        """Whether `value` is what `decode` gives."""
        return value is not None

    def loaded(self, value: Any) -> Any:
        """A decoded value of which nothing waits to be decoded. Raises BrokenSample."""
        return value

    def memory(self, value: Any) -> int:
        """Bytes that a loaded value takes."""
        return sys.getsizeof(value)


class ViewModality(Modality):
    """What views are made of: its values are Pictures, and views of them are the inputs of the graph."""

    views = True

    @abstractmethod
    def decode(self, stored: Any, storage: Storage) -> Picture: ...

    def holds(self, value: Any) -> bool:
        return isinstance(value, Picture)

    def loaded(self, value: Picture) -> Picture:
        return value.loaded

    def memory(self, value: Picture) -> int:
        return value.pixels.nbytes


class PlainModality(Modality):
    """What a target reads as it is: the values of a batch are one input of the graph.

    `dtype` is the type of that array. Of what is `tokenized` the encoder of the target makes numbers: it is given as
    `by`, which is None for other values.
    """

    dtype: ClassVar[Literal["f32", "i64", "bool"]]

    def several(self, value: Any) -> int:
        """How many values a decoded one has, of which one is drawn each time the sample is read."""
        return 1

    def one(self, value: Any, number: int) -> Any:
        """The value that stands at `number` of a decoded one with several."""
        return value

    @abstractmethod
    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        """Those of the array after the batch."""

    @abstractmethod
    def collate(self, values: Sequence[Any], by: Encoder | None, base: Path) -> NDArray[Any]:
        """[R, *dimensions] of `dtype`, of the decoded values of R > 0 samples. Paths are relative to `base`."""

    @abstractmethod
    def examples(self, rows: int, number: int) -> list[Any]:
        """Decoded values for `rows` samples of a batch without data, the same for the same `number`."""

    def renumbered(self, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Collated values `of_categories` with `labels[c]` in place of each label c."""
        raise NotImplementedError(self.name)
