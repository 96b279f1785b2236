"""`student_t`: errors with heavy tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import Distribution, LikelihoodShape
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class StudentT(Distribution):
    """Student's t of each channel: L = mean of (nu + 1) / 2 log(1 + d^2 / (nu s^2)), which outliers move little."""

    name = "student_t"
    family = "gaussian"

    nu: Number = argument(4.0, doc="degrees of freedom; the fewer the heavier are the tails", above=0)
    scale: Number = argument(0.5, doc="s, the size of a usual error", above=0)
    tokens: Literal["all", "hidden"] = argument("all", doc="which tokens of a dense target count")

    def hidden_only(self) -> bool:
        return self.tokens == "hidden"

    def build(self, shape: LikelihoodShape) -> nn.Module:
        return student_t(self.nu, self.scale)


def student_t(nu: float, scale: float) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    from torch import Tensor, nn

    class StudentTLoss(nn.Module):
        def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
            wide = prediction if prediction.element_size() > 4 else prediction.float()
            return (nu + 1) / 2 * ((wide - target) / scale).square().div(nu).log1p().mean()

    return StudentTLoss()
