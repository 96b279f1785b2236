"""Numbers of the graph that move over training, set before each step.

Takes: the module, the number of steps, and what a duration is in steps. Gives: `set(step)`. Guarantees: a value is a
function of the step, as the learning rate is, so a resumed run has the same one; the device is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from m3i_dsl.modules.scheduled import ScheduledScalar
from m3i_dsl.runtime.schedule import ramp_at
from m3i_dsl.vocabulary.values import Duration


class Scalars:
    """All scheduled numbers of a module. `steps` says how long a duration is."""

    def __init__(self, module: nn.Module, total: int, steps: Callable[[Duration], int]) -> None:
        self._scheduled = [
            (scalar, total if scalar.over is None else max(1, steps(scalar.over)))
            for scalar in module.modules()
            if isinstance(scalar, ScheduledScalar)
        ]

    def set(self, step: int) -> None:
        """To their values at step `step` (0-based); after its time a ramp stays at its end."""
        for scalar, length in self._scheduled:
            scalar.set(ramp_at(scalar.ramp, min(step, length), length))
