"""Whether two graphs of one program are the same computation.

Takes: two executables with the same parameters (or two graphs of a compiled recipe) and a batch. Gives: `Observation`,
all that a step yields or changes: outputs, gradients, buffers, the random numbers left, and how often each encoder ran.
`assert_equivalent` raises Disagreement at the first difference. Guarantees: float64 or whatever the modules are in; the
executables are not changed.

A pass over the graph is right when, for every recipe, `assert_equivalent(observe(before), observe(after))` holds: it
may change how often an encoder runs, and leave out what only monitors read, and nothing else.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m3i_dsl.ir.graph import MONITORS
from m3i_dsl.lower.executable import Executable
from m3i_dsl.testing.comparison import ABSOLUTE, Disagreement, agree, agree_all, buffers, gradients


@dataclass(frozen=True)
class Observation:
    """A step, seen from outside. `outputs` are flat, `losses/m3i.intra`; `random` is torch's state afterwards."""

    outputs: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor | None]
    buffers: Mapping[str, Tensor]
    random: Tensor
    encoder_calls: Mapping[str, int]

    @property
    def calls(self) -> int:
        """How often an encoder ran, all together."""
        return sum(self.encoder_calls.values())


def observe(executable: Executable, batch: Mapping[str, Tensor], seed: int = 0) -> Observation:
    """One step in training mode, from random state `seed`, with gradients; on a copy."""
    module = copy.deepcopy(executable.module).train()
    calls: Counter[str] = Counter()
    for name, encoder in module.get_submodule("encoders").named_children():
        encoder.register_forward_hook(lambda *_, name=name: calls.update([name]))
    read = {input_.name: batch[input_.name] for input_ in executable.inputs}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = flat(module(**read))
        outputs["loss"].backward()
        random = torch.get_rng_state()
    outputs = {name: value.detach() for name, value in outputs.items()}
    return Observation(outputs, gradients(module), buffers(module), random, dict(calls))


def assert_equivalent(one: Observation, other: Observation) -> None:
    """Raises Disagreement unless outputs, gradients, buffers and random state of `other` are those of `one`.

    Values to the tolerance of `comparison.agree`: gradients of a shared value are summed in another order. What is zero
    in exact arithmetic (the gradient of a bias before a batch norm) has the noise of the largest gradient. `other` may
    lack monitors, and parameters that had no gradient.
    """
    missing = {name for name in one.outputs.keys() - other.outputs.keys() if name.startswith(MONITORS)}
    agree_all("output", other.outputs, {name: v for name, v in one.outputs.items() if name not in missing})
    noise = ABSOLUTE * max([1.0, *(float(each.abs().max()) for each in one.gradients.values() if each is not None)])
    for name in one.gradients.keys() | other.gradients.keys():
        agree(f"gradient of {name}", other.gradients.get(name), one.gradients.get(name), noise)
    agree_all("buffer", other.buffers, {name: v for name, v in one.buffers.items() if name in other.buffers})
    if not torch.equal(one.random, other.random):
        raise Disagreement("other random numbers were drawn")


def assert_same_start(one: Executable, other: Executable) -> None:
    """Raises Disagreement unless both have the same inputs, parameters, buffers and averages."""
    if one.inputs != other.inputs:
        raise Disagreement(f"inputs: {one.inputs}, {other.inputs}")
    if [average.name for average in one.averages] != [average.name for average in other.averages]:
        raise Disagreement("the averages differ")
    agree_all("parameter", dict(one.module.named_parameters()), dict(other.module.named_parameters()))
    agree_all("buffer", dict(one.module.named_buffers()), dict(other.module.named_buffers()))
    for first, second in zip(one.averages, other.averages, strict=True):
        for role in ("source", "average"):
            ours, theirs = (dict(getattr(pair, role).named_parameters()) for pair in (first, second))
            agree_all(f"{role} of {first.name}", ours, theirs)


def flat(outputs: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """`{"losses": {"m3i.intra": x}}` as `{"losses/m3i.intra": x}`."""
    found: dict[str, Tensor] = {}
    for name, value in outputs.items():
        if isinstance(value, Tensor):
            found[prefix + name] = value
        else:
            found |= flat(value, f"{prefix}{name}/")
    return found
