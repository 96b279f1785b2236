"""The cross-entropy of products with candidate vectors, without ever holding all the logits.

Takes: predictions `[N, E]`, candidate vectors `[A, E]`, which one is right, 1 / tau. Gives: the mean loss. Guarantees:
loss and gradients are those of the plain form up to rounding, in the dtype of the predictions, float32 at least; what
is kept for the backward pass has the size of the inputs, and of the N x A logits only a chunk of rows exists at a time.
The gradient of a mean is known but for one factor: the forward pass computes it while the logits are at hand, and the
backward pass only scales it. Three products, as in the plain form; nothing is computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m3i_dsl.modules.precision import wide, without_autocast

BLOCK = 1 << 20
"""Logits at a time. 4096 x 4096 of width 256, forward and backward on one CPU thread: 324 ms in chunks of 64 rows,
307 of 128, 304 of 256 (which this is), 306 of 512, 308 of 1024; 411 to 508 by `F.cross_entropy`."""

FEWEST_ROWS = 128
"""Rows at a time, however many candidates: fewer would read those too often. 512 rows by 32,768 candidates of width
256: 532 ms in chunks of 32, 430 of 64, 375 of 128, 381 of 256; 484 to 596 by `F.cross_entropy`. 256 rows by a queue of
65,536 keys of width 128: 176 ms in chunks of 32, 159 of 64, 158 of 128; 249 to 358 by `F.cross_entropy`."""

Mask = Tensor | Callable[[slice], Tensor]
"""bool, broadcast to [N, columns], True where a row may choose a column; or what makes that of some rows at a time."""


def chunked_cross_entropy(
    prediction: Tensor,
    candidates: Tensor,
    labels: Tensor,
    inverse_temperature: Tensor | float = 1.0,
    mask: Mask | None = None,
    label_smoothing: float = 0.0,
    *,
    own: Tensor | None = None,
    block: int | None = None,
) -> Tensor:
    """Mean over rows of the cross-entropy of `prediction` [N, E] . `candidates` [A, E] / tau -> scalar.

    `labels` i64 [N] says which column is right. With `own` [N, E], each row has one more candidate that no other row
    has: column 0, before those of `candidates`. `mask` leaves columns out of the choice, never the label.
    `label_smoothing` spreads its share evenly over the row's choice. `inverse_temperature` is a number or a scalar
    tensor, which may need a gradient. `block` logits are held at a time, one row at least (None: `BLOCK`, and
    `FEWEST_ROWS` rows at least). Second derivatives are not available (RuntimeError from autograd).
    """
    with without_autocast(prediction):
        prediction, candidates = wide(prediction), wide(candidates)
        if isinstance(inverse_temperature, Tensor):
            inverse_temperature = inverse_temperature.to(prediction.dtype)
        columns = len(candidates) + (own is not None)
        rows = rows_of_chunk(columns) if block is None else max(1, block // columns)
        choice = _Choice(labels, mask, label_smoothing, rows, torch.is_grad_enabled())
        own = None if own is None else wide(own)
        loss: Tensor = _ChunkedCrossEntropy.apply(prediction, candidates, own, inverse_temperature, choice)  # pyright: ignore[reportAssignmentType]
    return loss


def rows_of_chunk(columns: int) -> int:
    """How many rows of `columns` logits exist at a time."""
    return max(FEWEST_ROWS, BLOCK // columns)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What has no gradient: the choice of each row, how many `rows` to take at a time, and whether autograd records."""

    labels: Tensor
    mask: Mask | None
    smoothing: float
    rows: int
    recorded: bool

    def allowed(self, rows: slice, count: int) -> Tensor | None:
        """bool, broadcast to [rows, columns], or None where every column may be chosen."""
        if self.mask is None:
            return None
        if not isinstance(self.mask, Tensor):
            return self.mask(rows)
        return self.mask[rows] if self.mask.dim() == 2 and len(self.mask) == count else self.mask

    def loss(self, logits: Tensor, labels: Tensor, allowed: Tensor | None, gradient: bool) -> Tensor:
        """The sum of the losses of `logits` [rows, columns], which are overwritten: by its gradient, if `gradient`."""
        if allowed is not None:
            logits.masked_fill_(~allowed, -math.inf)
        label = labels.unsqueeze(1)
        logits.sub_(logits.amax(dim=1, keepdim=True))
        right = logits.gather(1, label)
        if self.smoothing:
            if allowed is None:
                share = self.smoothing / logits.shape[1]
                even = logits.sum(dim=1, keepdim=True) * share
            else:
                share = self.smoothing / allowed.expand_as(logits).sum(dim=1, keepdim=True).to(logits.dtype)
                even = logits.masked_fill(~allowed, 0.0).sum(dim=1, keepdim=True) * share
            right_and_even = right * (1 - self.smoothing) + even
        else:
            share, right_and_even = 0.0, right
        total = logits.exp_().sum(dim=1, keepdim=True)
        loss = (total.log() - right_and_even).sum()
        if gradient:
            logits.div_(total)
            logits.scatter_add_(1, label, torch.full_like(right, self.smoothing - 1))
            if self.smoothing:
                logits.sub_(share if allowed is None else allowed * share)
        return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        prediction: Tensor,
        candidates: Tensor,
        own: Tensor | None,
        inverse_temperature: Tensor | float,
        choice: _Choice,
    ) -> Tensor:
        count, first = len(prediction), int(own is not None)
        wanted: tuple[bool, ...] = tuple(choice.recorded and needed for needed in ctx.needs_input_grad[:4])
        d_prediction = torch.empty_like(prediction) if wanted[0] else None
        d_candidates = torch.zeros_like(candidates) if wanted[1] else None
        d_own = torch.empty_like(prediction) if wanted[2] else None
        d_inverse = prediction.new_zeros(()) if wanted[3] else None
        loss = prediction.new_zeros(())
        buffer = prediction.new_empty(min(choice.rows, count), first + len(candidates))
        for start in range(0, count, choice.rows):
            rows = slice(start, min(start + choice.rows, count))
            raw = prediction[rows]
            scaled = raw * inverse_temperature
            logits = buffer[: len(raw)]
            torch.mm(scaled, candidates.T, out=logits[:, first:])
            if own is not None:
                logits[:, 0] = (scaled * own[rows]).sum(dim=1)
            loss += choice.loss(logits, choice.labels[rows], choice.allowed(rows, count), any(wanted))
            gradient, d_label = logits[:, first:], logits[:, :first]
            if d_candidates is not None:
                torch.addmm(d_candidates, gradient.T, scaled, out=d_candidates)
            if d_own is not None:
                torch.mul(scaled, d_label, out=d_own[rows])
            if d_prediction is not None or d_inverse is not None:
                pull = gradient @ candidates
                if own is not None:
                    pull.addcmul_(d_label, own[rows])
                if d_inverse is not None:
                    d_inverse += (pull * raw).sum()
                if d_prediction is not None:
                    torch.mul(pull, inverse_temperature, out=d_prediction[rows])
        ctx.count = count
        ctx.save_for_backward(d_prediction, d_candidates, d_own, d_inverse)
        return loss / count

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Instead of `once_differentiable`, which lets `create_graph` pass when `grad` is a constant, and the gradients
        # silently count as constants too (torch 2.14).
        if torch.is_grad_enabled():
            raise RuntimeError("the chunked cross-entropy has first derivatives only: it cannot take `create_graph`")
        # New tensors: the saved ones are wanted again when the graph is retained.
        factor = grad / ctx.count
        return (*(None if saved is None else saved * factor for saved in ctx.saved_tensors), None)
