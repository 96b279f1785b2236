"""Time in training: the learning rate and ramps.

Takes: what the recipe says (`0.996 -> 1 cosine`) and numbers of steps. Gives: values at a step.
Guarantees: everything is a pure function of the step, so a resumed run goes on exactly where it stopped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Schedule
from m3i_dsl.vocabulary.values import Ramp


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The factor on every group's peak rate: linear warmup, then the recipe's schedule.

    Step t of `total` (0-based) with `warmup` steps W: (t + 1) / W while t < W, then schedule((t - W) / (total - W)).
    The first step of the warmup already moves (MAE and SiameseIM start it at 0): our choice, so that no step is idle.
    """

    warmup: int
    total: int
    schedule: Schedule

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        return self.schedule.factor((step - self.warmup) / max(1, self.total - self.warmup))


def ramp_at(ramp: Ramp, step: int, total: int) -> float:
    """The value of a ramp for step t of T (0-based).

    linear: a + (b - a) t / T; cosine: b + (a - b) (1 + cos(pi t / T)) / 2, with b = 1 the momentum of SiameseIM and
    MoCo v3.
    """
    progress = step / total
    match ramp.shape:
        case "constant":
            return ramp.start
        case "linear":
            return ramp.start + (ramp.stop - ramp.start) * progress
        case "cosine":
            return ramp.stop + (ramp.start - ramp.stop) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, slots=True)
class Every:
    """Due at each multiple of `period` completed steps and at the end; at the end alone when `period` is None."""

    period: int | None
    total: int

    def due(self, step: int) -> bool:
        return step == self.total or (self.period is not None and step > 0 and step % self.period == 0)
