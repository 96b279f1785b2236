"""`gated`: a perceptron with a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Predictor, PredictorShape
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Gated(Predictor):
    """W (silu(U z) * V z), each token by itself (SwiGLU, Shazeer 2020)."""

    name = "gated"
    per_token = True

    hidden: Count = argument(64, doc="channels in between", minimum=1, tiny=TINY_WIDTH)

    def build(self, shape: PredictorShape) -> nn.Module:
        return gated(shape.input_width, self.hidden, shape.output_width)


def gated(given: int, hidden: int, wanted: int) -> nn.Module:
    """The module; in a function, so that torch is imported when a module is wanted and not before."""
    from torch import Tensor, nn
    from torch.nn import functional as F

    class GatedHead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.open, self.value, self.out = (
                nn.Linear(given, hidden),
                nn.Linear(given, hidden),
                nn.Linear(hidden, wanted),
            )

        def forward(self, features: Tensor) -> Tensor:
            return self.out(F.silu(self.open(features)) * self.value(features))

    return GatedHead()
