"""How often FSDP2 gathers each unit of a module, and how often it scatters its gradients.

Takes: a fake copy whose step runs inside. Gives: bytes of every gathering and scattering of that step. Guarantees: the
rules of FSDP2, applied to the calls of the units that `runtime.distributed.wrapping.units` names. A unit is gathered
before a call and given back after it; gathered again before its backward pass, and with it the one whose call ended
before it began (a prefetch, which is in vain where that one is an average, without a backward pass).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from m3i_dsl.plan.fake_copy import FakeCopy
from m3i_dsl.runtime.distributed.wrapping import placement, units

_GRADIENT = 4
"""Gradients are summed in float32, whatever the units are gathered in."""


class UnitCalls:
    """The order in which calls of units ended, and that in which their backward passes began."""

    def __init__(self, fake: FakeCopy) -> None:
        taken: set[int] = set()
        self._parameters: list[list[nn.Parameter]] = []
        self._modules: list[nn.Module] = []
        self._sizes: list[int | None] = []
        """Bytes of a gathered number; None for that of the parameter."""
        for unit in units(fake.module, fake.averages):
            own = [parameter for parameter in unit.module.parameters() if id(parameter) not in taken]
            taken |= {id(parameter) for parameter in own}
            self._parameters.append(own)
            self._modules.append(unit.module)
            self._sizes.append(torch.bfloat16.itemsize if fake.bf16 and unit.low_precision else None)
        self._ended: list[int] = []
        self._began: list[int] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        for number, module in enumerate(self._modules):
            self._hooks.append(module.register_forward_hook(self._end_of(number)))

    def __exit__(self, *fault: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def sizes(self, shards: int) -> tuple[list[int], list[int]]:
        """Bytes of what all shards of a unit are together: for each time it is gathered, and scattered."""
        gathered = [unit for unit in self._gathered() if self._parameters[unit]]
        # Autograd adds up the gradients of all calls before there is one to scatter.
        scattered = [unit for unit in dict.fromkeys(self._began) if self._trained(unit)]
        return (
            [self._size(self._parameters[unit], shards, self._sizes[unit]) for unit in gathered],
            [self._size(self._trained(unit), shards, _GRADIENT) for unit in scattered],
        )

    def _gathered(self) -> Iterator[int]:
        yield from self._ended  # each before its call
        places: dict[int, list[int]] = {}
        for place, unit in enumerate(self._ended):
            places.setdefault(unit, []).append(place)
        whole: set[int] = set()
        for unit in self._began:
            if unit not in whole:
                whole.add(unit)
                yield unit
            place = places[unit].pop()
            if place > 0 and (before := self._ended[place - 1]) not in whole:
                whole.add(before)
                yield before
            if self._modules[unit] is not self._modules[-1]:
                whole.discard(unit)  # the root stays until all is over

    def _trained(self, unit: int) -> list[nn.Parameter]:
        return [parameter for parameter in self._parameters[unit] if parameter.requires_grad]

    @staticmethod
    def _size(parameters: list[nn.Parameter], shards: int, size: int | None) -> int:
        place = placement(shards)
        total = 0
        for parameter in parameters:
            cut = place(parameter)
            dimension = 0 if cut is None else cut.dim
            filled = -(-parameter.shape[dimension] // shards) * shards
            numbers = filled * math.prod(parameter.shape) // parameter.shape[dimension]
            total += numbers * (parameter.itemsize if size is None else size)
        return total

    def _end_of(self, number: int) -> Any:
        def ended(_: nn.Module, __: Any, output: Any) -> None:
            self._ended.append(number)
            begun: list[bool] = []

            def begin(_: Tensor) -> None:
                if not begun:
                    begun.append(True)
                    self._began.append(number)

            for tensor in tree_flatten(output)[0]:
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    tensor.register_hook(begin)

        return ended
