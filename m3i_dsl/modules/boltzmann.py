"""-log P^(z_y | zh) for the Boltzmann family: exp(zh . z_y / tau) over a candidate set that contains z_y.

Takes: predictions and what the candidates are made of: the class table, the texts or the samples of the batch, a queue.
Gives: the mean cross-entropy over rows. Guarantees: logits in float32 at least; every candidate counts once; nothing is
normalised here (l2 is the representation's business). The batch is the global one: own rows choose among candidates
gathered from all processes, with gradient.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from m3i_dsl.collectives import gather, offset, own
from m3i_dsl.modules.chunked import chunked_cross_entropy
from m3i_dsl.modules.clamp import projected_clamp
from m3i_dsl.modules.learned import LearnedScalars
from m3i_dsl.modules.normalize import l2
from m3i_dsl.modules.precision import wide, without_autocast
from m3i_dsl.modules.queue import Queue
from m3i_dsl.modules.tokens import partner, token_mean

MAXIMUM_SCALE = 100.0
"""CLIP's ceiling of 1 / tau (Radford et al. 2021)."""

LARGEST_BLOCK = 1 << 26
"""Logits held at a time by the dense sample loss; beyond it, blocks are recomputed in the backward pass."""

LARGEST_WHOLE = 1 << 20
"""Logits that the losses of one vector a row hold at once; beyond it they go through chunks of rows.

Forward and backward on one CPU thread, width 256, chunked over plain with a learned temperature: 1.5 times as long for
128 x 128 logits, 1.1 for 256 x 256, 0.9 for 512 x 512 and 1024 x 1024, 0.6 for 4096 x 4096.
"""


class Temperature(LearnedScalars):
    """tau, given as 1 / tau. A learned one is stored as log(1 / tau), and 1 / tau never exceeds 100 (as CLIP)."""

    def __init__(self, value: float, learned: bool = False) -> None:
        super().__init__()
        self.value = value
        # One row and not a scalar, which `fully_shard` does not take.
        self.log_inverse = nn.Parameter(torch.tensor([-math.log(value)])) if learned else None

    def forward(self, logits: Tensor) -> Tensor:
        """`logits` / tau."""
        return logits / self.value if self.log_inverse is None else logits * self.inverse()

    def inverse(self) -> Tensor | float:
        """1 / tau: a scalar tensor when it is learned."""
        if self.log_inverse is None:
            return 1 / self.value
        return projected_clamp(self.log_inverse, -math.inf, math.log(MAXIMUM_SCALE)).exp().squeeze(0)

    @torch.no_grad()
    def learned_scalars(self) -> dict[str, Tensor]:
        """tau, as a recipe writes it."""
        if self.log_inverse is None:
            return {}
        return {"temperature": self.log_inverse.clamp(max=math.log(MAXIMUM_SCALE)).neg().exp()}


class CategoryBoltzmann(nn.Module):
    """Candidates: all rows of a table (negative categories, negative codes). The classification loss."""

    def __init__(self, temperature: float = 1.0, *, learned: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, learned)
        self.label_smoothing = label_smoothing

    def forward(
        self,
        prediction: Tensor,
        table: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        others: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """`prediction` [..., E], `table` [C, E], `bias` [C] or None, `labels` i64 [...] -> scalar.

        Of an image that shows two, `share` f32 [B] is that of its label; the rest is that of `others` i64 [B].
        """
        logits = self.temperature(category_logits(prediction.flatten(0, -2), table, bias))
        if others is None or share is None:
            return cross_entropy(logits, labels.flatten(), None, self.label_smoothing)
        shares = mixed_labels(labels, others, share.to(logits.dtype), len(table), self.label_smoothing)
        return -(shares * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


class PrototypeBoltzmann(nn.Module):
    """Candidates: the prototypes, of which the target holds shares q. H(q, softmax(scores / tau)), the DINO loss."""

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = Temperature(temperature)

    def forward(self, prediction: Tensor, target: Tensor, filled: Tensor | None = None) -> Tensor:
        """Scores `prediction` and shares `target`, rows that sum to 1, both [B, K] or both [B, Q, K] -> scalar.

        `filled` bool [B, Q] says which tokens of each image count (None: all): see `token_mean`.
        """
        log_probabilities = self.temperature(wide(prediction)).log_softmax(dim=-1)
        return token_mean(-(wide(target) * log_probabilities).sum(dim=-1), filled)


class TextBoltzmann(nn.Module):
    """Candidates: the texts of the batch, each different caption once (negative texts). The CLIP loss.

    `symmetric` adds the other direction, images for a text, in which the other images with the same caption are no
    candidates, and takes the mean of both.
    """

    def __init__(
        self, temperature: float = 1.0, *, learned: bool = False, symmetric: bool = True, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, learned)
        self.symmetric = symmetric
        self.label_smoothing = label_smoothing

    def forward(self, prediction: Tensor, texts: Tensor, tokens: Tensor, partnered: bool = False) -> Tensor:
        """`prediction` [B, E], `texts` [B, E] of the captions `tokens` i64 [B, T] -> scalar.

        Row i is to find its own caption or, if `partnered`, that of its partner in the mix.
        """
        # G rows in the global batch, B of them here
        first_G = first_occurrences(gather(tokens))
        labels_G = partner(first_G) if partnered else first_G
        first_1G = (first_G == torch.arange(len(first_G), device=first_G.device)).unsqueeze(0)
        labels_B, rows_B = own(labels_G), _own_rows(tokens)
        with without_autocast(prediction):
            prediction, texts_GE = wide(prediction), gather(wide(texts))
            if len(rows_B) * len(first_G) > LARGEST_WHOLE:
                return self._chunked(prediction, texts_GE, labels_G, first_1G)
            logits_BG = self.temperature(prediction @ texts_GE.T)
            loss = cross_entropy(logits_BG, labels_B, first_1G, self.label_smoothing)
            if not self.symmetric:
                return loss
            if len(rows_B) == len(first_G):
                per_text_BG = logits_BG.T[labels_B]
            else:
                per_text_BG = self.temperature(texts_GE[labels_B] @ gather(prediction).T)
        candidates_BG = _images_for(labels_G, rows_B[:1])(slice(0, len(rows_B)))
        return (loss + cross_entropy(per_text_BG, rows_B, candidates_BG, self.label_smoothing)) / 2

    def _chunked(self, prediction: Tensor, texts_GE: Tensor, labels_G: Tensor, first_1G: Tensor) -> Tensor:
        inverse, smoothing = self.temperature.inverse(), self.label_smoothing
        labels_B, rows_B = own(labels_G), _own_rows(prediction)
        loss = chunked_cross_entropy(prediction, texts_GE, labels_B, inverse, first_1G, smoothing)
        if not self.symmetric:
            return loss
        others = _images_for(labels_G, rows_B[:1])
        back = chunked_cross_entropy(texts_GE[labels_B], gather(prediction), rows_B, inverse, others, smoothing)
        return (loss + back) / 2


class SampleBoltzmann(nn.Module):
    """Candidates: the targets of the batch (negative samples), or the own target and a queue of past ones.

    Global `[B, E]`: row i is to find target i among all targets of the batch. Dense `[B, Q, d]`: token q of image i is
    to find target token q of image i among itself and `tokens_per_image` (None: all) evenly strided target tokens of
    every image in the batch. With a `queue` its keys are the only negatives (MoCo v1, v2); it holds the targets or,
    when they are dense, the l2-normalised mean of each image's tokens (DenseCL), and in training mode takes those of
    the batch after the loss: of `keys`, all tokens as they came out of the projector, or of the targets. `symmetric`
    adds the choice among predictions for a target, and takes the mean of both. With `predictions` those of the other
    images are candidates as well (SimCLR).
    """

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        learned: bool = False,
        symmetric: bool = False,
        label_smoothing: float = 0.0,
        tokens_per_image: int | None = None,
        queue: Queue | None = None,
        predictions: bool = False,
    ) -> None:
        super().__init__()
        if queue is not None and (symmetric or predictions):
            raise ValueError("a queue holds no predictions, so nothing can choose among them")
        self.temperature = Temperature(temperature, learned)
        self.symmetric = symmetric
        self.label_smoothing = label_smoothing
        self.tokens_per_image = tokens_per_image
        self.queue = queue
        self.predictions = predictions

    def forward(self, prediction: Tensor, target: Tensor, keys: Tensor | None = None) -> Tensor:
        """`prediction` and `target` both [B, E] or both [B, Q, d], `keys` [B, L, d] -> scalar."""
        with without_autocast(prediction):
            loss = self._loss(wide(prediction), wide(target))
        if self.queue is not None and self.training:
            keys = target if keys is None else keys
            self.queue.push(keys if keys.dim() == 2 else l2(keys.mean(dim=1)))
        return loss

    def _loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        if prediction.dim() == 3:
            loss = self._dense(prediction, target)
            return (loss + self._dense(target, prediction)) / 2 if self.symmetric else loss
        if self.queue is not None:
            return self._queued(prediction, target, self.queue)
        targets_GE = gather(target)
        predictions_GE = gather(prediction) if self.symmetric or self.predictions else None
        loss = self._among(prediction, targets_GE, predictions_GE)
        if not self.symmetric or predictions_GE is None:
            return loss
        return (loss + self._among(target, predictions_GE, targets_GE)) / 2

    def _among(self, prediction: Tensor, targets_GE: Tensor, predictions_GE: Tensor | None) -> Tensor:
        """Among all targets of the global batch and, if they count, all predictions but the own one."""
        rows_B, smoothing = _own_rows(prediction), self.label_smoothing
        if not self.predictions or predictions_GE is None:
            candidates_AE, others = targets_GE, None
        else:
            candidates_AE = torch.cat([targets_GE, predictions_GE])
            others = functools.partial(_others, rows_B, len(candidates_AE))
        if len(rows_B) * len(candidates_AE) > LARGEST_WHOLE:
            inverse = self.temperature.inverse()
            return chunked_cross_entropy(prediction, candidates_AE, rows_B, inverse, others, smoothing)
        logits_BA = self.temperature(prediction @ candidates_AE.T)
        return cross_entropy(logits_BA, rows_B, others and others(slice(None)), smoothing)

    def _queued(self, prediction: Tensor, target: Tensor, queue: Queue) -> Tensor:
        """Among the own target and the keys of the queue."""
        first_B, smoothing = torch.zeros_like(_own_rows(target)), self.label_smoothing
        if len(target) * (1 + len(queue.keys)) > LARGEST_WHOLE:
            # No copy of the keys as in `_past`: gradients are made in the forward pass, before the queue changes.
            past, inverse = queue.keys.to(prediction.dtype), self.temperature.inverse()
            return chunked_cross_entropy(prediction, past, first_B, inverse, None, smoothing, own=target)
        own_B1 = (prediction * target).sum(dim=-1, keepdim=True)
        logits_BA = self.temperature(torch.cat([own_B1, prediction @ self._past(prediction).T], dim=1))
        return cross_entropy(logits_BA, first_B, None, smoothing)

    def _dense(self, prediction_BQD: Tensor, target_BQD: Tensor) -> Tensor:
        batch, queries, width = target_BQD.shape
        if self.queue is None:
            strided_T = strided(queries, self.tokens_per_image, target_BQD.device)
            negatives_AD = gather(target_BQD[:, strided_T]).reshape(-1, width)
        else:
            strided_T = strided(queries, 0, target_BQD.device)
            negatives_AD = self._past(target_BQD)
        block = max(1, LARGEST_BLOCK // (queries * len(negatives_AD)))
        first = offset(batch)
        if block >= batch:
            return self._dense_sum(prediction_BQD, target_BQD, negatives_AD, strided_T, first) / (batch * queries)
        sums: list[Tensor] = []
        for start in range(0, batch, block):
            rows = slice(start, start + block)
            chunk = (prediction_BQD[rows], target_BQD[rows], negatives_AD, strided_T, first + start)
            sums.append(checkpoint(self._dense_sum, *chunk, use_reentrant=False))  # type: ignore[arg-type]  # untyped
        return torch.stack(sums).sum() / (batch * queries)

    def _dense_sum(
        self, prediction_BQD: Tensor, target_BQD: Tensor, negatives_AD: Tensor, strided_T: Tensor, start: int
    ) -> Tensor:
        """The sum of the cross-entropies of some images, the first of which is image `start` of the global batch."""
        batch, queries, _ = prediction_BQD.shape
        own_BQ1 = (prediction_BQD * target_BQD).sum(dim=-1, keepdim=True)
        logits_BQA = self.temperature(torch.cat([own_BQ1, prediction_BQD @ negatives_AD.T], dim=-1))
        # The own positive is already the first candidate: strike it out where the strided tokens hold it again.
        column_A = torch.arange(len(negatives_AD), device=strided_T.device)
        image_B = start + torch.arange(batch, device=strided_T.device)
        per_image = max(1, len(strided_T))
        token_A = strided_T[column_A % per_image] if len(strided_T) else torch.full_like(column_A, -1)
        same_token_QA = torch.arange(queries, device=strided_T.device).unsqueeze(1) == token_A
        same_image_BA = image_B.unsqueeze(1) == column_A // per_image
        own_again_BQA = same_token_QA.unsqueeze(0) & same_image_BA.unsqueeze(1)
        candidates_BQA = torch.cat([torch.ones_like(own_again_BQA[..., :1]), ~own_again_BQA], dim=-1)
        labels = torch.zeros(batch * queries, dtype=torch.int64, device=strided_T.device)
        flat = cross_entropy(logits_BQA.flatten(0, 1), labels, candidates_BQA.flatten(0, 1), self.label_smoothing)
        return flat * (batch * queries)

    def _past(self, like: Tensor) -> Tensor:
        assert self.queue is not None
        # A copy: the queue changes after the loss, before the backward pass reads what the product saved.
        return self.queue.keys.to(like.dtype, copy=True)


def mixed_labels(labels: Tensor, others: Tensor, share: Tensor, categories: int, smoothing: float = 0.0) -> Tensor:
    """[B, C]: y = share e_label + (1 - share) e_other, of which `smoothing` is spread over all categories."""
    one, other = (F.one_hot(which, categories).to(share.dtype) for which in (labels, others))
    shares = share.unsqueeze(1) * one + (1 - share).unsqueeze(1) * other
    return (1 - smoothing) * shares + smoothing / categories


def category_logits(prediction: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
    """[B, C]: zh W^T + b for `prediction` [B, E] and the class `table` W [C, E]; the bias is an extra coordinate."""
    with without_autocast(prediction):
        logits = wide(prediction) @ wide(table).T
        return logits if bias is None else logits + wide(bias)


def cross_entropy(logits: Tensor, labels: Tensor, candidates: Tensor | None, label_smoothing: float) -> Tensor:
    """Mean over rows of the cross-entropy of `logits` [N, A] with `labels` i64 [N].

    `candidates` bool, broadcast to [N, A], says which columns a row chooses from (None: all); each row's label must be
    one. `label_smoothing` spreads its share evenly over the row's candidates, the label included.
    """
    if candidates is not None:
        logits = logits.masked_fill(~candidates, -math.inf)
    log_probabilities = logits.log_softmax(dim=-1)
    loss = -log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
    if label_smoothing:
        if candidates is None:
            spread = -log_probabilities.mean(dim=-1)
        else:
            masked = log_probabilities.masked_fill(~candidates, 0.0)
            spread = -masked.sum(dim=-1) / candidates.expand_as(logits).sum(dim=-1)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    return loss.mean()


def _own_rows(x: Tensor) -> Tensor:
    """i64 [B]: the places in the global batch of the rows of this process, of which `x` has one each."""
    return offset(len(x)) + torch.arange(len(x), device=x.device)


def _others(rows_B: Tensor, columns: int, some: slice) -> Tensor:
    """bool [N, columns]: of all targets and then all predictions, every one but the own prediction of some rows."""
    return torch.arange(columns, device=rows_B.device) != (rows_B[some] + columns // 2).unsqueeze(1)


def _images_for(labels_G: Tensor, first_1: Tensor) -> Callable[[slice], Tensor]:
    """Which images the text of each row chooses from: its own, and none of the others that have the same text.

    Rows are counted from row `first_1` i64 [1] of the global batch.
    """

    def candidates(rows: slice) -> Tensor:
        rows_N = first_1 + torch.arange(rows.start, rows.stop, device=labels_G.device)
        itself = rows_N.unsqueeze(1) == torch.arange(len(labels_G), device=labels_G.device)
        return itself | (labels_G[rows_N].unsqueeze(1) != labels_G)

    return candidates


def first_occurrences(tokens: Tensor) -> Tensor:
    """i64 [B]: for each row of `tokens` i64 [B, T], the first row that is equal to it.

    Rows are compared by their squared distance: whole numbers below 2^53, hence exact in float64, and a matrix product
    instead of a B x B x T comparison; not all of it at a time.
    """
    values = tokens.double()
    squares = values.square().sum(dim=1)
    rows = torch.arange(len(tokens), device=tokens.device)
    size = max(1, LARGEST_WHOLE // max(1, len(tokens)))
    found: list[Tensor] = []
    with without_autocast(values):
        for some, some_squares in zip(values.split(size), squares.split(size), strict=True):
            distance = some_squares.unsqueeze(1) + squares - 2 * some @ values.T
            found.append(torch.where(distance == 0, rows, len(tokens)).amin(dim=1))
    return torch.cat(found)


def strided(queries: int, count: int | None, device: torch.device) -> Tensor:
    """i64 [min(count, queries)]: evenly spaced token positions, 0 first; all of them when `count` is None."""
    count = queries if count is None else min(count, queries)
    return torch.arange(count, device=device) * queries // max(1, count)
