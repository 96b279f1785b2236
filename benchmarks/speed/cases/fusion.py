"""Two views through one encoder, all views through one head: a call each, or one call on all together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed.cases.case import Context
from benchmarks.speed.handwritten.dino import Head
from benchmarks.speed.handwritten.model import vit
from benchmarks.speed.outcome import Outcome

BATCHES = (2, 8, 16)

HEADS = ((2, 16), (2, 256), (2, 1024), (10, 16))
"""Views and images of each. Ten are two global and eight local crops."""


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


def heads(views: int, batch: int, context: Context) -> Outcome:
    """Forward and backward of DINO's head on the class tokens of `views` views of `batch` images."""
    head = Head(context.size)
    tokens = [torch.randn(batch, context.size.width, requires_grad=True) for _ in range(views)]
    pulls = torch.randn(batch, context.size.prototypes)

    def finish(scores: Iterable[Tensor]) -> None:
        torch.stack([(part * pulls).mean() for part in scores]).sum().backward()
        head.zero_grad(set_to_none=True)

    def separate() -> None:
        finish(head(part) for part in tokens)

    def fused() -> None:
        finish(head(torch.cat(tokens)).chunk(views))

    return Outcome(f"heads_{views}x{batch}", "fused", context.timed({"separate": separate, "fused": fused}))


CASES: Mapping[str, Callable[[Context], Outcome]] = {
    f"two_views_{batch}": partial(two_views, batch) for batch in BATCHES
} | {f"heads_{views}x{batch}": partial(heads, views, batch) for views, batch in HEADS}
