"""Scores of learned prototypes (DINO, Caron et al. 2021; SwAV, MSN).

Takes: features `[..., D]`. Gives: cosines `[..., K]` with K prototypes. Guarantees: scores in float32 at least, between
-1 and 1, whatever the norms of features and prototypes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import linear

from m3i_dsl.modules.blocks import Initial, Norm
from m3i_dsl.modules.normalize import l2
from m3i_dsl.modules.own_rules import OwnRules
from m3i_dsl.modules.precision import wide, without_autocast
from m3i_dsl.modules.predictors.heads import MLP, Activation
from m3i_dsl.vocabulary.values import Duration

_PROTOTYPES = frozenset({"prototypes.weight"})


class PrototypesHead(OwnRules):
    """s_k = l2(mlp(z)) . l2(w_k); the prototypes w are the weights [K, width] of a linear layer.

    A linear layer under weight norm whose norms stay at 1 has the same values and the same gradients. The prototypes
    start as torch makes a linear layer, each of norm about 1 / sqrt(3) (DINO); a step turns a short one further.
    Those that are not averaged are shared with the average, do not decay and are not clipped (MSN).
    """

    def __init__(
        self,
        input_width: int,
        count: int,
        *,
        layers: int,
        hidden: int,
        width: int,
        activation: Activation,
        norm_kind: Norm | None,
        initial: Initial = "truncated",
        average: bool = True,
        frozen: Duration | None = None,
    ) -> None:
        super().__init__()
        self.average = average
        self.frozen = frozen
        self.mlp = MLP(
            input_width,
            width,
            layers=layers,
            hidden=hidden,
            activation=activation,
            norm_kind=norm_kind,
            output_norm=False,
            bias=True,
            output_bias=True,
            initial=initial,
        )
        self.prototypes = nn.Linear(width, count, bias=False)

    def copied(self) -> frozenset[str]:
        return frozenset() if self.average else _PROTOTYPES

    def unclipped(self) -> frozenset[str]:
        return self.copied()

    def no_weight_decay(self) -> frozenset[str]:
        return self.copied()

    def held(self) -> tuple[frozenset[str], Duration] | None:
        return None if self.frozen is None else (_PROTOTYPES, self.frozen)

    def forward(self, features: Tensor) -> Tensor:
        """[..., D] -> [..., K]."""
        projected = self.mlp(features)
        with without_autocast(projected):
            # Scores are divided, not prototypes: of these there are up to 65,536, and a copy of all of them and its
            # backward pass would take as long as the product.
            prototypes_KD = wide(self.prototypes.weight)
            norms_K = vector_norm(prototypes_KD, dim=-1).clamp(min=1e-12)
            return linear(l2(wide(projected)), prototypes_KD) / norms_K
