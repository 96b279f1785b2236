"""`blend`: two images in one, and their labels with them (mixup, CutMix)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Blend, WordError
from m3i_dsl.vocabulary.values import Fraction, Number, number_text
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws

MOST = 100.0
"""Beyond it every lambda is a half."""


@dataclass(frozen=True, slots=True)
class MixupCutmix(Blend):
    """Blends each image with its partner in the batch: both everywhere (mixup), or a box of the partner (CutMix).

    lambda ~ Beta(a, a) with a the argument of the one or the other, CutMix with probability `switch`. mixup:
    x = lambda x + (1 - lambda) x'. CutMix: a box of sqrt(1 - lambda) of the sides of x' around a uniform centre, cut
    off at the edges, with lambda then the share of x that is left (Zhang et al. 2018, Yun et al. 2019). 0 leaves one
    out. lambda is drawn for each image and row 2k is blended with row 2k + 1 (both our choice; timm draws one lambda
    for a batch, and the partner is the row that is as far from its end).
    """

    name = "blend"

    mixup: Number = argument(0.8, doc="a of mixup; 0 for none", origin="DeiT", minimum=0, maximum=MOST)
    cutmix: Number = argument(1.0, doc="a of CutMix; 0 for none", origin="DeiT", minimum=0, maximum=MOST)
    switch: Fraction = argument(0.5, doc="how often CutMix, where there are both", origin="DeiT", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        if not self.mixup and not self.cutmix:
            raise WordError(
                "neither mixup nor CutMix blends anything",
                argument="cutmix",
                help="leave the blend out, or one of them above 0",
            )

    def details(self) -> tuple[str, ...]:
        both = (("mixup", self.mixup), ("CutMix", self.cutmix))
        return tuple(f"{name} {number_text(value)}" for name, value in both if value)

    def sample(self, draws: Draws, size: tuple[int, int]) -> NDArray[np.float32]:
        import numpy as np

        height, width = size
        chance = self.switch if self.mixup and self.cutmix else float(not self.mixup)
        cuts = draws.at("switch").uniform() < chance
        share = np.ones(len(cuts))
        for chosen, alpha, slot in ((~cuts, self.mixup, "mixup"), (cuts, self.cutmix, "cutmix")):
            if alpha:
                share = np.where(chosen, draws.at(slot).beta(alpha), share)
        side = np.sqrt(1 - share)
        centre = draws.at("centre").uniform(2)
        box: list[NDArray[np.float64]] = []
        for length, place in ((height, centre[:, 0]), (width, centre[:, 1])):
            cut, middle = np.floor(length * side), np.floor(length * place)
            first = np.clip(middle - cut // 2, 0, length)
            box += [first, np.clip(middle + cut // 2, first, length)]
        top, bottom, left, right = (np.where(cuts, edge, 0) for edge in box)
        left_over = 1 - (bottom - top) * (right - left) / (height * width)
        return np.stack([top, left, bottom, right, np.where(cuts, left_over, share)], axis=1).astype(np.float32)
