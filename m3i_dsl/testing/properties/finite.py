"""Finite loss and gradients, in the precision of a run (fp32), at the first weights and at moved ones."""

from __future__ import annotations

import torch
from torch import Tensor

from m3i_dsl.semantics.program import Target
from m3i_dsl.testing.case import Case, step
from m3i_dsl.testing.outcome import Failed, Property


def _check(case: Case) -> str:
    for number, moved in ((0, False), (1, True)):
        executable = case.copy(torch.float32, moved=moved)
        outputs = step(executable, case.batch(number, torch.float32))
        for name, loss in outputs["losses"].items():
            target = _target(case, name)
            _require(loss, f"the loss of `{name}`", target)
        for name, value in outputs["representations"].items():
            _require(value, f"the representation `{name}`", None)
        _require(outputs["loss"], "the total loss", None)
        outputs["loss"].backward()
        gradients = {name: p.grad for name, p in executable.module.named_parameters() if p.grad is not None}
        for name, gradient in gradients.items():
            _require(gradient, f"the gradient of `{name}`", None)
    return f"loss {float(outputs['loss'].detach()):.3g}, {len(gradients)} gradients"


def _require(value: Tensor, what: str, target: Target | None) -> None:
    if not torch.isfinite(value).all():
        bad = value.detach()[~torch.isfinite(value)]
        raise Failed(f"{what} is {float(bad.flatten()[0])}", None if target is None else target.distribution.span)


def _target(case: Case, name: str) -> Target | None:
    named = {f"{o.name}.{t.name}": t for o in case.program.objectives for t in o.targets}
    return named.get(name)


FINITE = Property("finite", "losses, representations and gradients are finite", _check)
