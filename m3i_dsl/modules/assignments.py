"""From scores of prototypes to the target distribution: which prototypes an image is (DINO, SwAV).

Takes: scores `[B, K]`, or `[B, L, K]` of tokens, of each view of a target. Gives: as many tensors of that shape.
Guarantees: float32 at least; sums over the batch are over the global batch of all ranks; a running mean moves once a
step, in training mode, after the scores of all views were centred by the mean before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from m3i_dsl import collectives
from m3i_dsl.modules.precision import wide
from m3i_dsl.modules.scheduled import ScheduledScalar
from m3i_dsl.vocabulary.values import Duration, Ramp


class CenteringAssignment(nn.Module):
    """h - c for each view, then c <- momentum c + (1 - momentum) mean(h) (Caron et al. 2021, equation 4).

    The mean is over all tokens of an image, too (iBOT).
    """

    center: Tensor

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(width))

    def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """[..., K] each -> [..., K] each."""
        scores = tuple(wide(each) for each in scores)
        centred = tuple(each - self.center for each in scores)
        if self.training:
            with torch.no_grad():
                mean_K = collectives.mean(torch.stack([each.flatten(0, -2).mean(dim=0) for each in scores]).mean(dim=0))
                self.center.lerp_(mean_K.to(self.center.dtype), 1 - self.momentum)
        return _each(centred)


class SharpeningAssignment(nn.Module):
    """softmax(h / temperature) for each view; the temperature may move over training."""

    def __init__(self, temperature: Ramp, warmup: Duration | None) -> None:
        super().__init__()
        self.temperature = temperature.start
        self.scheduled = _scheduled(temperature, warmup)

    def forward(self, *scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """[..., K] each -> [..., K] each, rows that sum to 1."""
        temperature = self.temperature if self.scheduled is None else self.scheduled()
        return _each(tuple((wide(each) / temperature).softmax(dim=-1) for each in scores))


class SinkhornAssignment(nn.Module):
    """Sinkhorn and Knopp's scaling for each view: rows sum to 1, columns to B / K in the limit (Caron et al. 2020).

    Without a `temperature` it is given shares and not scores (MSN).
    """

    def __init__(self, temperature: Ramp | None, iterations: int, warmup: Duration | None = None) -> None:
        super().__init__()
        self.temperature = None if temperature is None else temperature.start
        self.scheduled = None if temperature is None else _scheduled(temperature, warmup)
        self.iterations = iterations

    def forward(self, *scores: Tensor, filled: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Cosines or shares [..., K] each -> [..., K] each, rows that sum to 1.

        `filled` bool [B, Q] says which tokens of one view [B, Q, K] there are; the others get no share of anything.
        """
        return _each(tuple(self._balanced(wide(each), filled) for each in scores))

    def _balanced(self, scores: Tensor, filled: Tensor | None) -> Tensor:
        # No cosine is above 1: a bound that all ranks know, and which the scaling takes out again.
        temperature = self.temperature if self.scheduled is None else self.scheduled()
        shares = scores if temperature is None else ((scores - 1) / temperature).exp()
        if filled is not None:
            shares = shares * filled.unsqueeze(-1)
        shares_NK = shares.flatten(0, -2)
        smallest = torch.finfo(shares_NK.dtype).tiny
        for _ in range(self.iterations):
            shares_NK = shares_NK / collectives.total(shares_NK.sum(dim=0)).clamp(min=smallest)
            shares_NK = shares_NK / shares_NK.sum(dim=1, keepdim=True).clamp(min=smallest)
        return shares_NK.view_as(scores)


def _scheduled(temperature: Ramp, warmup: Duration | None) -> ScheduledScalar | None:
    """A temperature that moves; None for a constant one."""
    return None if temperature.shape == "constant" else ScheduledScalar(temperature, warmup)


def _each(views: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """One view as itself: an equation with one result takes no tuple."""
    return views[0] if len(views) == 1 else views
