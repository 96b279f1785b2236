"""A codebook that follows what chooses it (BEiT v2, Peng et al. 2022).

Takes: features `[..., E]`. Gives: the nearest vectors, with a straight-through gradient, and the commitment; or codes.
Guarantees: in float32 at least; sums are over the global batch of all processes, which stay equal; vectors move once a
call, in training mode, after they were chosen; after the first step the device is not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from m3i_dsl import collectives
from m3i_dsl.modules.learned import Floor, LearnedScalars
from m3i_dsl.modules.normalize import l2
from m3i_dsl.modules.precision import wide, without_autocast

ROUNDS = 10
"""Of k-means (unilm: beit2/norm_ema_quantizer.py)."""

LARGEST_BLOCK = 1 << 26
"""Similarities of tokens and vectors held at a time."""


class CodebookHead(LearnedScalars):
    """`vectors` [K, E], unit rows; `usage` [K], the running number of tokens of a batch that chose each."""

    vectors: Tensor
    usage: Tensor
    direction: Tensor
    started: Tensor

    def __init__(self, width: int, size: int, *, decay: float, commitment: float, kmeans: bool) -> None:
        super().__init__()
        self.decay, self.commitment = decay, commitment
        self.register_buffer("vectors", F.normalize(torch.randn(size, width), dim=-1))
        self.register_buffer("usage", torch.zeros(size))
        self.register_buffer("direction", torch.randn(width))
        self.register_buffer("started", torch.tensor(not kmeans))
        self._ready = False

    def forward(self, features: Tensor, codes: bool = False) -> Any:
        """[..., E] and a scalar, or with `codes` i64 [...]."""
        with without_autocast(features):
            z = l2(wide(features))
            rows = z.detach().flatten(0, -2)
            if self.training and not codes:
                self._start(rows)
            chosen = self._nearest(rows)
            if codes:
                return chosen.view(z.shape[:-1])
            nearest = F.embedding(chosen, self.vectors.to(z.dtype)).view(z.shape)
            if self.training:
                self._follow(rows, chosen)
            commitment = self.commitment * (nearest - z).square().mean()
            return (z + (nearest - z).detach()).to(features.dtype), commitment

    def learned_scalars(self) -> Mapping[str, Tensor]:
        """The share of the vectors that were chosen within the last 1 / (1 - decay) steps, and the perplexity."""
        shares = self.usage / self.usage.sum().clamp(min=1e-30)
        used = self.usage > (1 - self.decay) / 3  # one choice fades to a third in that time
        entropy = -(shares * shares.clamp(min=1e-30).log()).sum()
        return {"codes_used": used.to(shares.dtype).mean(), "perplexity": entropy.exp()}

    def floors(self) -> Mapping[str, Floor]:
        return {
            "codes_used": Floor(
                0.1,
                "most codes are never chosen",
                "lower `decay`, write fewer codes, or a smaller `width` before the codebook (BEiT v2: 32)",
            )
        }

    # --- the vectors --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _nearest(self, rows: Tensor) -> Tensor:
        """i64 [N]: argmin_k |z_n - e_k|^2."""
        vectors = self.vectors.to(rows.dtype)
        half_K = vectors.square().sum(dim=-1) / 2
        size = max(1, LARGEST_BLOCK // len(vectors))
        return torch.cat([(some @ vectors.T - half_K).argmax(dim=-1) for some in rows.split(size)])

    @torch.no_grad()
    def _follow(self, rows: Tensor, chosen: Tensor) -> None:
        counts, sums = self._chosen(rows, chosen)
        self.usage.lerp_(counts, 1 - self.decay)
        moved = l2(self.vectors.lerp(l2(sums), 1 - self.decay))
        self.vectors.copy_(torch.where(counts.unsqueeze(-1) > 0, moved, self.vectors))

    def _chosen(self, rows: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """[K] and [K, E]: how many rows of the global batch chose each vector, and their sum."""
        rows = rows.to(self.vectors.dtype)
        counts = torch.zeros_like(self.usage).index_add_(0, chosen, torch.ones_like(rows[:, 0]))
        sums = torch.zeros_like(self.vectors).index_add_(0, chosen, rows)
        return collectives.total(counts), collectives.total(sums)

    @torch.no_grad()
    def _start(self, rows: Tensor) -> None:
        """k-means over the first batch. It begins at rows evenly spaced along a random direction, so that the order of
        the samples means nothing.
        """
        if self._ready or self.started.is_meta or isinstance(self.started, FakeTensor):
            return
        if not bool(self.started):
            whole = collectives.gather(rows, "statistics")
            along = whole[(whole @ self.direction.to(whole.dtype)).argsort()]
            places = torch.arange(len(self.vectors), device=rows.device) * len(along) // len(self.vectors)
            self.vectors.copy_(along[places])
            for _ in range(ROUNDS):
                counts, sums = self._chosen(rows, self._nearest(rows))
                self.vectors.copy_(torch.where(counts.unsqueeze(-1) > 0, l2(sums), self.vectors))
            self.started.fill_(True)
        self._ready = True
