"""From scores of prototypes to the target distribution: which prototypes an image is (DINO, SwAV).

Takes: scores `[B, K]` of each view of a target. Gives: as many tensors of that shape. Guarantees: float32 at least;
 sums over the batch are over the global batch of all ranks; a running mean moves once a step, in
training mode, after the scores of all views were centred by the mean before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl import collectives
from m3i_dsl.modules.precision import wide
from m3i_dsl.modules.scheduled import ScheduledScalar
from m3i_dsl.vocabulary.values import Duration, Ramp


class CenteringAssignment(nn.Module):
    """h - c for each view, then c <- momentum c + (1 - momentum) mean(h) (Caron et al. 2021, equation 4)."""

    center: Tensor

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(width))

    def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """[B, K] each -> [B, K] each."""
        scores = tuple(wide(each) for each in scores)
        centred = tuple(each - self.center for each in scores)
        if self.training:
            with torch.no_grad():
                mean_K = collectives.mean(torch.stack([each.mean(dim=0) for each in scores]).mean(dim=0))
                self.center.lerp_(mean_K.to(self.center.dtype), 1 - self.momentum)
        return _each(centred)


class SharpeningAssignment(nn.Module):
    """softmax(h / temperature) for each view; the temperature may move over training."""

    def __init__(self, temperature: Ramp, warmup: Duration | None) -> None:
        super().__init__()
        self.temperature = temperature.start
        self.scheduled = None if temperature.shape == "constant" else ScheduledScalar(temperature, warmup)

    def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """[B, K] each -> [B, K] each, rows that sum to 1."""
        temperature = self.temperature if self.scheduled is None else self.scheduled()
        return _each(tuple((wide(each) / temperature).softmax(dim=-1) for each in scores))


class SinkhornAssignment(nn.Module):
    """Sinkhorn and Knopp's scaling for each view: rows sum to 1, columns to B / K in the limit (Caron et al. 2020)."""

    def __init__(self, temperature: float, iterations: int) -> None:
        super().__init__()
        self.temperature = temperature
        self.iterations = iterations

    def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Cosines [B, K] each -> [B, K] each, rows that sum to 1."""
        return _each(tuple(self._balanced(wide(each)) for each in scores))

    def _balanced(self, scores: Tensor) -> Tensor:
        # No cosine is above 1: a bound that all ranks know, and which the scaling takes out again.
        shares_BK = ((scores - 1) / self.temperature).exp()
        for _ in range(self.iterations):
            shares_BK = shares_BK / collectives.total(shares_BK.sum(dim=0))
            shares_BK = shares_BK / shares_BK.sum(dim=1, keepdim=True)
        return shares_BK


def _each(views: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """One view as itself: an equation with one result takes no tuple."""
    return views[0] if len(views) == 1 else views
