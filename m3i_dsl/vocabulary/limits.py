"""How small a word may be made: the sizes of the tiny version of a recipe, on which its properties are tested.

Takes: nothing. Gives: `Limits`, which `Word.shrunk` is asked with. Guarantees: no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TINY_BATCH = 8
"""Samples of a step, or a little more where several processes or sources must share them."""

TINY_WIDTH = 24
"""Of everything that has a width: one number fits wherever two widths had to be equal."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the words of a tiny recipe must agree on.

    `side` is the number of tokens on a side of an image at most. `images` maps each height and width of images to its
    new one, in pixels. `stride` is the (old, new) number of pixels of a token of the encoder that the word is used
    with; None where it is used with none.
    """

    side: int
    images: Mapping[int, int] = field(default_factory=dict[int, int])
    stride: tuple[int, int] | None = None

    def image(self, size: int) -> int:
        """The new height and width, in pixels, of images of `size` pixels."""
        return self.images.get(size, size)


MOST_LAYERS = 1000
"""Of one stack: each is built one by one, whatever memory it takes."""
