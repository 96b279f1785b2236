"""Losses in the form that the compiler gives them, beside the form that a paper or a text book writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.agreement import Disagreement, same_loss
from benchmarks.speed.cases.case import Context
from benchmarks.speed.memory import peak_bytes
from benchmarks.speed.outcome import Outcome, Target
from m3i_dsl.modules.boltzmann import SampleBoltzmann
from m3i_dsl.modules.penalties import unigrad

GRADIENTS = 1e-4
"""Of the largest entry of a gradient, in float32."""

CANDIDATES, CHANNELS = 4096, 256
TEMPERATURE = 0.2

Loss = Callable[[Tensor, Tensor], Tensor]


def textbook_unigrad(prediction: Tensor, target: Tensor) -> Tensor:
    """mean of diag(P C P^T) / d, with C = T^T T / N: the rows x rows matrix of which the diagonal is read."""
    correlation = target.T @ target / len(target)
    return (prediction @ correlation @ prediction.T).diag().mean() / prediction.shape[1]


def textbook_info_nce(prediction: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over the matrix of all logits."""
    logits = prediction @ target.T / TEMPERATURE
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def both_ways(loss: Loss, prediction: Tensor, target: Tensor) -> Callable[[], Tensor]:
    """Loss and gradients."""

    def run() -> Tensor:
        prediction.grad = target.grad = None
        value = loss(prediction, target)
        value.backward()
        return value.detach()

    return run


def equal_gradients(first: Loss, second: Loss, prediction: Tensor, target: Tensor) -> None:
    """Raises Disagreement unless losses and gradients agree."""
    found: list[list[Tensor]] = []
    for loss in (first, second):
        value = both_ways(loss, prediction, target)()
        found.append([value, *(x.grad.clone() for x in (prediction, target) if x.grad is not None)])
    same_loss("loss", found[0][0], found[1][0])
    for one, other in zip(*(gradients[1:] for gradients in found), strict=True):
        if float((one - other).abs().max()) > GRADIENTS * float(other.abs().max()):
            raise Disagreement("the gradients of the two forms differ")


def unigrad_rows(context: Context) -> Outcome:
    """SiameseIM's term on the tokens of 16 images of 224 pixels."""
    prediction = torch.randn(16 * 196, context.size.width, requires_grad=True)
    target = torch.randn(16 * 196, context.size.width)
    equal_gradients(unigrad, textbook_unigrad, prediction, target)
    sides = {
        "row by row": both_ways(unigrad, prediction, target),
        "diag(P C P^T)": both_ways(textbook_unigrad, prediction, target),
    }
    times = context.timed(sides, factor=2)
    memory = {name: {"peak memory": _megabytes(peak_bytes(side))} for name, side in sides.items()}
    outcome = Outcome("unigrad", "row by row", times, memory)
    target_ = Target("unigrad: speed over diag(P C P^T)", 4.0, "at least", outcome.faster("diag(P C P^T)"))
    return Outcome("unigrad", "row by row", times, memory, (target_,))


def info_nce(context: Context) -> Outcome:
    """The loss of `negative samples` on a large batch of vectors."""
    prediction, target = (F.normalize(torch.randn(CANDIDATES, CHANNELS), dim=1).requires_grad_() for _ in range(2))
    ours = SampleBoltzmann(TEMPERATURE)
    equal_gradients(ours, textbook_info_nce, prediction, target)
    sides = {
        "m3ic": both_ways(ours, prediction, target),
        "cross-entropy": both_ways(textbook_info_nce, prediction, target),
    }
    times = context.timed(sides, factor=2)
    peaks = {name: peak_bytes(side) for name, side in sides.items()}
    outcome = Outcome("info_nce", "m3ic", times, {name: {"peak memory": _megabytes(p)} for name, p in peaks.items()})
    targets = (
        Target("InfoNCE: speed over cross-entropy", 1.0, "at least", outcome.faster("cross-entropy")),
        Target("InfoNCE: share of its memory", 0.25, "at most", peaks["m3ic"] / peaks["cross-entropy"]),
    )
    return Outcome("info_nce", "m3ic", times, outcome.extra, targets)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


CASES: Mapping[str, Callable[[Context], Outcome]] = {"unigrad": unigrad_rows, "info_nce": info_nce}
