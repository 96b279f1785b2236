"""`mix`: two images in one input."""

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.vocabulary.kinds import Mask, Mix
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class PatchMix(Mix):
    """Mixes each image with its partner patch by patch: holes of the first are filled with patches of the second.

    x = up(1 - m) * first + up(m) * second, with m the mask `by`, True where `first` is hidden. Row 2k of the batch is
    mixed with row 2k + 1, so each image is once the first and once the second (the pairing is our choice; MixMIM
    reverses the batch). The paper states that two views of different images are mixed to form one input; shape and
    ratio of the mix are not published.
    """

    name = "mix"

    by: Mask = argument(doc="which patches of the first image are replaced by the second's")
    attention: Literal["joint", "isolated"] = argument(
        "joint",
        doc="whether tokens of the two images attend to each other in the encoder (`isolated` as in MixMIM)",
        origin="paper",
    )
    context: Literal["own", "all"] = argument(
        "own", doc="what a predictor sees: the tokens of its own image, or all with a learned source embedding"
    )

    def mask(self) -> Mask:
        return self.by

    def details(self) -> tuple[str, ...]:
        shape = " ".join((self.by.name, *self.by.details()))
        isolated = ("isolated attention",) if self.attention == "isolated" else ()
        return (shape, *isolated, *(("context: all",) if self.context == "all" else ()))
