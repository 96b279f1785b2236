"""What predicts a target from the features of the input.

Takes: a `PredictorShape`. Gives: the shape of the prediction and a module. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds.shapes import Pooling, PredictorCall, PredictorShape
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    from torch import nn


class Predictor(Word):
    """f_psi: from the input representation to the prediction of the target representation.

    It maps each token by itself or together with others, asks for positions (`queries`), or yields one vector
    (`pools`).
    """

    kind: ClassVar[Kind] = "predictor"
    queries: ClassVar[bool] = False
    """True: the module itself asks for the wanted positions (a decoder). False: it maps each token (or the pool)."""
    pools: ClassVar[bool] = False
    """True: the module takes tokens and returns one vector (attention pool)."""
    per_token: ClassVar[bool] = False
    """True: each token is mapped by itself, so that tokens nobody compares may be left out before (heads)."""
    keeps_prefix: ClassVar[bool] = False
    """True: asked for positions, it can begin with what it makes of class and register tokens (`prefixed=True`)."""
    changes: ClassVar[bool] = True
    """False: the prediction is z_x itself, so that nothing stands between it and the target."""
    scores_prototypes: ClassVar[bool] = False
    """True: each channel that it yields is the score of a prototype."""

    def codes(self) -> int | None:
        """How many codes there are, of one that ends in a codebook; None for any other.

        Its module yields the features and a term of the loss, and called with `codes=True` the codes i64 [...].
        """
        return None

    def pooling(self) -> Pooling:
        """How tokens become one vector before it, when the target is one vector and it does not pool itself."""
        return "mean"

    def relative(self) -> bool:
        """Whether it can place a dense target of another view."""
        return False

    def trims(self) -> bool:
        """Whether it can end with the wanted positions only (`needed=True`), equal to rounding."""
        return False

    def shares_queries(self) -> bool:
        """Whether its first layer can do once for all samples what their queries have in common (`shared=True`)."""
        return False

    def output_width(self, given: int, wanted: int) -> int:
        """The width it yields from `given` channels when the target is `wanted` wide; 0 when nothing is wanted."""
        return wanted or given

    def as_wide_as_target(self) -> bool:
        """Whether it follows the width of the target, since it has one of its own that is not written."""
        return False

    def check(self, call: PredictorCall) -> None:
        """Raises WordError when it cannot answer such a call. Never imports torch."""
        return

    @abstractmethod
    def build(self, shape: PredictorShape) -> nn.Module:
        """The module; how it is called, modules/predictors says."""
