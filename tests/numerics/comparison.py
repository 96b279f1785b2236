"""A compiled step beside its hand-written reference.

Takes: an executable and a batch of its inputs. Gives: what a step should yield, by the reference on deep-copied
parameters (`expect`): losses, every gradient by name, every buffer afterwards. `compare` raises Disagreement unless the
graph yields it, naming what differs and by how much. Guarantees: neither changes the executable.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from torch import Tensor, nn

from m3i_dsl.lower.executable import Executable
from m3i_dsl.semantics.program import Program
from m3i_dsl.testing.batches import named_batch
from m3i_dsl.testing.comparison import agree, agree_all, buffers, gradients
from m3i_dsl.vocabulary.kinds import CATEGORIES, CODES, TEXTS
from tests.numerics.by_hand import backbone, function, mlp, text_transformer
from tests.numerics.methods import Method
from tests.numerics.recipes import submodule
from tests.numerics.reference.plain import l2

NOISE = 1e-13
"""A gradient that vanishes, as that of a bias which a batch norm takes out again, is the rounding of ordinary terms."""


@dataclass(frozen=True)
class Result:
    """What a step yields. `losses` are unweighted, by `objective.target`; a gradient is None where there is none."""

    loss: Tensor
    losses: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor | None]
    buffers: Mapping[str, Tensor]


def compare(
    executable: Executable,
    expected: Result,
    batch: Mapping[str, Tensor],
    *,
    consume: bool = False,
) -> None:
    """Raises Disagreement unless a step of the graph yields `expected`; on a copy unless `consume`."""
    module = executable.module if consume else copy.deepcopy(executable.module)
    outputs = module(**batch)
    agree("loss", outputs["loss"], expected.loss)
    agree_all("loss of", outputs["losses"], expected.losses)
    outputs["loss"].backward()
    agree_all("gradient of", gradients(module), expected.gradients, NOISE)
    agree_all("buffer", buffers(module), expected.buffers)


def expect(executable: Executable, method: Method, batch: Mapping[str, Tensor]) -> Result:
    """One step of the reference, on a copy of the graph's modules whose parameters keep their names."""
    module = copy.deepcopy(executable.module)
    total, each = reference_step(module, executable, method, batch)
    total.backward()
    objective = executable.program.objectives[0]
    names = [f"{objective.name}.{target.name}" for target in objective.targets]
    losses = {name: value.detach() for name, value in zip(names, each, strict=True)}
    return Result(total.detach(), losses, gradients(module), buffers(module))


def reference_step(
    module: nn.Module,
    executable: Executable,
    method: Method,
    batch: Mapping[str, Tensor],
    step: int = 0,
    total: int = 10,
) -> tuple[Tensor, list[Tensor]]:
    """The loss of the reference and those of its targets, on the parameters of `module`; queues take their keys, and
    running centres move.
    """
    reference: Any = importlib.import_module(f"tests.numerics.reference.{method.reference}")
    parts = parts_of(module, executable.program, method)
    if method.sharpness is not None:
        parts.target_temperature = method.sharpness(step, total)
    inputs = named_batch(executable, batch)
    loss: Tensor = reference.loss(parts, inputs)
    each: list[Tensor] = getattr(parts, "losses", [loss / method.weight])
    _move_balance(module, parts)
    for (keys, pointer), pushed in zip(parts.queues, getattr(parts, "pushed", ()), strict=True):
        start = int(pointer)
        keys[start : start + len(pushed)] = pushed
        pointer.fill_((start + len(pushed)) % len(keys))
    return loss, each


def parts_of(module: nn.Module, program: Program, method: Method) -> SimpleNamespace:
    """What reference/plain.py calls `parts`, from the modules of a compiled graph."""
    objective = program.objectives[0]
    online = module.get_submodule(f"encoders.{objective.encoder.name}")
    parts = SimpleNamespace(
        vit=backbone(online.get_submodule("model")),
        mask_token=getattr(online, "mask_token", None),
        projector=function(submodule(module, f"projectors.{objective.encoder.name}") or nn.Identity()),
        queues=[],
        centers={},
        **method.constants,
    )
    online_projector: Any = submodule(module, f"projectors.{objective.encoder.name}")
    _embedding(parts, online_projector, "embedding")
    if hasattr(online_projector, "prototypes"):
        parts.prototypes = online_projector.prototypes.weight
    for target in objective.targets:
        name = f"{objective.name}_{target.name}"
        _predictor(parts, module.get_submodule(f"predictors.{name}"), target.name)
        likelihood: Any = module.get_submodule(f"likelihoods.{name}")
        if target.representation.word.candidates in (CATEGORIES, CODES):
            parts.table = module.get_submodule(f"representations.{name}")
        if target.representation.word.candidates == TEXTS:
            assert target.encoder is not None
            text, pool = module.get_submodule(f"encoders.{target.encoder.name}"), target.encoder.text.pool
            parts.text = partial(text_transformer, text, pool=pool)
            parts.text_projection = function(module.get_submodule(f"representations.{name}"))
            parts.log_inverse_temperature = likelihood.temperature.log_inverse
        elif target.encoder is not None:
            _average(parts, module, target.encoder.name)
        if (balance := submodule(module, f"assignments.{name}_0")) is not None:
            parts.center = parts.centers[target.name] = getattr(balance, "center", None)
        if getattr(likelihood, "queue", None) is not None:
            parts.queues.append((likelihood.queue.keys, likelihood.queue.pointer))
    for name, (keys, _) in zip(("queue", "dense_queue"), parts.queues, strict=False):
        setattr(parts, name, keys)
    weighting: Any = submodule(module, f"weightings.{objective.name}")
    if hasattr(weighting, "s"):
        parts.s = weighting.s
    return parts


def _move_balance(module: nn.Module, parts: SimpleNamespace) -> None:
    """What a step leaves in the buffers of a target over prototypes."""
    for name, buffer in module.named_buffers():
        if name.endswith(".center"):
            moved = parts.centered
            buffer.copy_(moved if isinstance(moved, Tensor) else moved[_target_of(name)])
        elif name.endswith(".scheduled.value"):
            buffer.fill_(parts.target_temperature)


def _target_of(buffer: str) -> str:
    """`patch` of assignments.ibot_patch_0.center."""
    return buffer.split(".")[1].split("_")[-2]


def _embedding(parts: SimpleNamespace, projector: Any, name: str) -> None:
    """What a head with prototypes compares with them: unit vectors."""
    if hasattr(projector, "prototypes"):
        setattr(parts, name, lambda x: l2(mlp(projector.mlp.layers, x)))


def _predictor(parts: SimpleNamespace, predictor: Any, target: str) -> None:
    if hasattr(predictor, "mask_token"):
        parts.decoder = predictor
        setattr(parts, f"decoder_{target}", predictor)
    else:
        parts.predictor = function(predictor)


def _average(parts: SimpleNamespace, module: nn.Module, name: str) -> None:
    """Encoder and projector of a target; without the wrapper that stops gradients, for a reference does so itself."""
    encoder = submodule(module, f"encoders.{name}.module") or module.get_submodule(f"encoders.{name}")
    projector = submodule(module, f"projectors.{name}.module") or submodule(module, f"projectors.{name}")
    parts.average = backbone(encoder.get_submodule("model"))
    parts.average_projector = function(projector or nn.Identity())
    _embedding(parts, projector, "average_embedding")
    if type(projector).__name__ == "JoinedHead":
        *heads, last = cast(Any, projector).parts
        parts.average_parts = [*(function(head) for head in heads), last]
