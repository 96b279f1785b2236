"""What the losses of a program have learned by now, under the names of its targets.

Takes: the module and the program. Gives: numbers: `clip.caption.temperature`, `m3i.intra.log_variance`; and a warning
of one that is too low, once for each episode. Guarantees: all ranks call it for the same steps, as a sharded parameter
is brought together; one transfer from the device.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from m3i_dsl.collectives.sharded import whole
from m3i_dsl.modules.learned import Floor, LearnedScalars
from m3i_dsl.runtime.faults import COLLAPSE, Notice
from m3i_dsl.semantics.program import Program


class Learned:
    """The learned scalars of one module."""

    def __init__(self, module: nn.Module, program: Program) -> None:
        found = [(path, part) for path, part in module.named_modules() if isinstance(part, LearnedScalars)]
        self._modules = [(_targets(path, program) or [path], part) for path, part in found]
        self._low: set[str] = set()

    def values(self) -> dict[str, float]:
        """By the target's name and what the number is."""
        read: dict[str, Tensor] = {}
        for targets, part in self._modules:
            for name, value in part.learned_scalars().items():
                numbers = whole(value).flatten().unbind()
                owners = targets if len(targets) == len(numbers) else [f"{targets[0]}.{k}" for k in range(len(numbers))]
                read |= {f"{owner}.{name}": number for owner, number in zip(owners, numbers, strict=True)}
        if not read:
            return {}
        return dict(zip(read, torch.stack([number.double() for number in read.values()]).tolist(), strict=True))

    def low(self, values: Mapping[str, float]) -> list[Notice]:
        """The new warnings about `values`: what fell below its floor."""
        notices: list[Notice] = []
        for owners, part in self._modules:
            for name, floor in part.floors().items() if part.training else ():
                key = f"{owners[0]}.{name}"
                if values[key] >= floor.limit:
                    self._low.discard(key)
                elif key not in self._low:
                    self._low.add(key)
                    notices.append(_notice(owners[0], name, values[key], floor))
        return notices


def _notice(owner: str, name: str, value: float, floor: Floor) -> Notice:
    said = name.replace("_", " ")
    note = f"{said} is {value:.3g}; below {floor.limit:g} means that {floor.means}"
    return Notice(COLLAPSE, f"`{owner}` is collapsing: {floor.means}", notes=(note,), helps=(floor.help,))


def _targets(path: str, program: Program) -> list[str]:
    """Of a likelihood its target, of a weighting those of its objective, of a projector its encoder."""
    section, _, rest = path.partition(".")
    owner = rest.partition(".")[0]
    if section == "projectors":
        return [owner]
    if section == "weightings":
        return [f"{o.name}.{t.name}" for o in program.objectives for t in o.targets if o.name == owner]
    return [f"{o.name}.{t.name}" for o in program.objectives for t in o.targets if f"{o.name}_{t.name}" == owner]
