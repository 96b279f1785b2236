"""bf16 is close to fp32: autocast changes loss and gradient by no more than its rounding explains.

What rounding explains is measured, not assumed: the fp32 step is repeated with every parameter and every input moved
by a random relative amount of the size of bf16's rounding, 2^-9. Autocast rounds the result of each operation as well,
so a deviation of a few times that is expected (it rounds tens of times, errors add up like a random walk), and more is
a fault: a loss or a statistic that must not be computed in bf16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from m3i_dsl.testing.case import Case, step
from m3i_dsl.testing.outcome import Failed, Property

ROUNDING = 2.0**-9
"""Half a unit in the last place of 8 significant bits."""

TIMES = 16
REPEATED = 4


def _check(case: Case) -> str:
    batch = case.batch(0, torch.float32)
    loss, gradient = _computed(case, batch)
    narrow_loss, narrow_gradient = _computed(case, batch, narrow=True)
    if not torch.isfinite(narrow_loss) or not torch.isfinite(narrow_gradient).all():
        raise Failed("loss or gradient is not finite in bf16", case.program.span)
    moved = [_computed(case, batch, noise=seed) for seed in range(REPEATED)]
    loss_noise = max(float((other - loss).abs()) for other, _ in moved)
    gradient_noise = max(float((other - gradient).norm()) for _, other in moved)
    _require("the loss", float((narrow_loss - loss).abs()), TIMES * (loss_noise + ROUNDING * float(loss.abs())), case)
    scale = ROUNDING * float(gradient.norm())
    difference = float((narrow_gradient - gradient).norm())
    _require("the gradient", difference, TIMES * (gradient_noise + scale), case)
    relative = difference / max(float(gradient.norm()), 1e-30)
    return f"loss {float(loss):.4g} and {float(narrow_loss):.4g}, gradients differ by {relative:.1%}"


def _require(what: str, difference: float, allowed: float, case: Case) -> None:
    if not difference <= allowed:
        message = f"{what} differs by {difference:.3g} in bf16, and its rounding explains {allowed:.3g}"
        raise Failed(message, case.program.span)


def _computed(
    case: Case, batch: dict[str, Tensor], *, narrow: bool = False, noise: int | None = None
) -> tuple[Tensor, Tensor]:
    """The loss and the gradient of all trained parameters as one vector, both float32."""
    executable = case.copy(torch.float32, moved=False)
    if noise is not None:
        generator = torch.Generator().manual_seed(noise)
        with torch.no_grad():
            for parameter in executable.module.parameters():
                parameter.mul_(1 + ROUNDING * torch.randn(parameter.shape, generator=generator))
        batch = {
            name: value * (1 + ROUNDING * torch.randn(value.shape, generator=generator))
            if value.is_floating_point()
            else value
            for name, value in batch.items()
        }
    with torch.random.fork_rng(devices=[]), torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
        torch.manual_seed(case.seed)
        loss: Tensor = step(executable, batch)["loss"]
    loss.backward()
    gradients = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in executable.module.parameters()
        if parameter.requires_grad
    ]
    return loss.detach().float(), torch.cat([gradient.flatten() for gradient in gradients])


PRECISION = Property("bf16", "loss and gradient in bf16 are those of fp32, to its rounding", _check)
