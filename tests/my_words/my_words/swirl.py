"""`swirl`: two images wound into each other."""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Mask, Mix
from m3i_dsl.vocabulary.values import Fraction
from m3i_dsl.vocabulary.word import argument
from my_words.spiral import Spiral


@dataclass(frozen=True, slots=True)
class Swirl(Mix):
    """Shows the second image along a stretch of a spiral through the first; a predictor sees the tokens of both."""

    name = "swirl"
    context = "all"

    ratio: Fraction = argument(0.5, doc="of the tokens show the second image", above=0, below=1)

    def mask(self) -> Mask:
        return Spiral(self.ratio)

    def details(self) -> tuple[str, ...]:
        return (f"{self.ratio:.0%} of the second",)
