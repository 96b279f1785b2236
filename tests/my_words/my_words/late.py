"""`late`: the learning rate falls at the end only."""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Schedule
from m3i_dsl.vocabulary.values import Fraction
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Late(Schedule):
    """1, and over the last `decay` of training a straight line to 0 (warmup-stable-decay, Hu et al. 2024)."""

    name = "late"

    decay: Fraction = argument(0.2, doc="how much of training it falls for", above=0, maximum=1)

    def factor(self, progress: float) -> float:
        return min(1.0, (1 - progress) / self.decay)
