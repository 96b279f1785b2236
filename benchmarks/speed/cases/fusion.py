"""Two views through one encoder: two calls, or one call on both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed.cases.case import Context
from benchmarks.speed.handwritten.model import vit
from benchmarks.speed.outcome import Outcome

BATCHES = (2, 8, 16)


def two_views(batch: int, context: Context) -> Outcome:
    """Forward and backward of both views, `batch` images each."""
    encoder = vit(context.size)
    views = [torch.randn(batch, 3, context.size.size, context.size.size) for _ in range(2)]

    def finish(losses: list[Tensor]) -> None:
        torch.stack(losses).sum().backward()
        encoder.zero_grad(set_to_none=True)

    def separate() -> None:
        finish([encoder.forward_features(view).square().mean() for view in views])

    def fused() -> None:
        finish([part.square().mean() for part in encoder.forward_features(torch.cat(views)).chunk(2)])

    return Outcome(f"two_views_{batch}", "fused", context.timed({"separate": separate, "fused": fused}))


CASES: Mapping[str, Callable[[Context], Outcome]] = {
    f"two_views_{batch}": partial(two_views, batch) for batch in BATCHES
}
