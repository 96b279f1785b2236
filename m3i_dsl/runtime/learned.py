"""What the losses of a program have learned by now, under the names of its targets.

Takes: the module and the program. Gives: numbers: `clip.caption.temperature`, `m3i.intra.log_variance`. Guarantees:
all ranks call it for the same steps, as a sharded parameter is brought together; one transfer from the device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl.collectives.sharded import whole
from m3i_dsl.modules.learned import LearnedScalars
from m3i_dsl.semantics.program import Program


class Learned:
    """The learned scalars of one module."""

    def __init__(self, module: nn.Module, program: Program) -> None:
        found = [(path, part) for path, part in module.named_modules() if isinstance(part, LearnedScalars)]
        self._modules = [(_targets(path, program) or [path], part) for path, part in found]

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


def _targets(path: str, program: Program) -> list[str]:
    """Of a likelihood its target, of a weighting those of its objective."""
    section, _, rest = path.partition(".")
    owner = rest.partition(".")[0]
    if section == "weightings":
        return [f"{o.name}.{t.name}" for o in program.objectives for t in o.targets if o.name == owner]
    return [f"{o.name}.{t.name}" for o in program.objectives for t in o.targets if f"{o.name}_{t.name}" == owner]
