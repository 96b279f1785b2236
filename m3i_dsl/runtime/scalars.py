"""What parts of the graph ask of training: numbers that move, parameters that are held still or are not clipped.

Takes: the module, the number of steps, and what a duration is in steps. Gives: `set(step)` before each step, and
`hold(step)` before its gradients are used. Guarantees: all of it is a function of the step, as the learning rate is, so
a resumed run has the same; the device is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from m3i_dsl.modules.own_rules import OwnRules
from m3i_dsl.modules.scheduled import ScheduledScalar
from m3i_dsl.runtime.schedule import ramp_at
from m3i_dsl.vocabulary.values import Duration


class Scalars:
    """All scheduled numbers of a module, and its parameters with rules of their own.

    `steps` says how long a duration is. `unclipped` are the parameters whose gradients are not shortened, by id.
    """

    def __init__(self, module: nn.Module, total: int, steps: Callable[[Duration], int]) -> None:
        self._scheduled = [
            (scalar, total if scalar.over is None else max(1, steps(scalar.over)))
            for scalar in module.modules()
            if isinstance(scalar, ScheduledScalar)
        ]
        self.unclipped: frozenset[int] = frozenset()
        self._held: list[tuple[nn.Parameter, int]] = []
        for part in module.modules():
            if isinstance(part, OwnRules):
                self.unclipped |= {id(part.get_parameter(name)) for name in part.unclipped()}
                names, length = part.held() or (frozenset[str](), None)
                if length is not None:
                    self._held += [(part.get_parameter(name), steps(length)) for name in sorted(names)]

    def hold(self, step: int) -> None:
        """Takes the gradients of what is held still at step `step`, so that nothing moves it, decay neither."""
        for parameter, length in self._held:
            if step < length:
                parameter.grad = None

    def set(self, step: int) -> None:
        """To their values at step `step` (0-based); after its time a ramp stays at its end."""
        for scalar, length in self._scheduled:
            scalar.set(ramp_at(scalar.ramp, min(step, length), length))
