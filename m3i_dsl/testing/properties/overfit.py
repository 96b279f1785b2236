"""Overfits one batch: what is trained can learn.

The losses of a single batch, seen again and again with a plain optimizer, must fall clearly. Averages follow as in
training, at the momentum of the recipe. Buffers are put back before each step, so that it is one loss that is lowered:
a queue would fill with the keys of the batch itself, and the loss would rise.
"""

from __future__ import annotations

import torch

from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.testing.case import Case, step
from m3i_dsl.testing.outcome import Failed, Property

STEPS = 100
"""At most; fewer when the losses have fallen before."""

LOW = 3
"""Steps in a row that must be low."""

RATE = 3e-3
FALL = 0.2
"""Of the first value, summed over all targets by their weights."""


def _check(case: Case) -> str:
    executable = case.copy(torch.float32, moved=False)
    trained = [parameter for parameter in executable.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=RATE)
    averages = MovingAverages(executable.averages, STEPS, lambda _: STEPS)
    batch = case.batch(0, torch.float32)
    weights = {f"{o.name}.{t.name}": t.weight for o in case.program.objectives for t in o.targets}
    state = {name: buffer.clone() for name, buffer in executable.module.named_buffers()}
    losses: list[float] = []
    for number in range(STEPS):
        outputs = step(executable, batch)
        losses.append(sum(weights[name] * float(value.detach()) for name, value in outputs["losses"].items()))
        if all(loss < losses[0] - FALL * abs(losses[0]) for loss in losses[-LOW:]):
            return f"{losses[0]:.3g} -> {losses[-1]:.3g} in {number} steps"
        if not outputs["loss"].requires_grad:
            raise Failed("the loss depends on no parameter", case.program.objectives[0].span)
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        averages.update(number)
        for name, buffer in executable.module.named_buffers():
            buffer.copy_(state[name])
    raise Failed(
        f"{STEPS} steps on one batch take the losses from {losses[0]:.4g} to {losses[-1]:.4g} only",
        case.program.objectives[0].span,
    )


OVERFIT = Property("overfit", "the losses of a single batch fall clearly", _check)
