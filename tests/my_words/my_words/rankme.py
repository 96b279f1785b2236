"""`rankme`: how many dimensions the features fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from m3i_dsl.vocabulary.kinds import Evaluator, Measure, Pooling, Result, Splits, Subject
from m3i_dsl.vocabulary.word import argument

EFFECTIVE_RANK = Measure("effective_rank", "dimensions")


@dataclass(frozen=True, slots=True)
class RankMe(Evaluator):
    """exp of the entropy of the singular values of the test features, which sum to 1 (Garrido et al. 2023).

    No category enters it.
    """

    name = "rankme"
    needs = frozenset[str]()

    pool: Literal["mean", "class"] = argument("mean", doc="the feature of an image: the mean of its tokens, or one")

    def pooling(self) -> Pooling:
        return self.pool

    def measure(self, subject: Subject, splits: Splits) -> Result:
        import torch

        features = subject.features(splits.test, self.pool).double()
        singular = torch.linalg.svdvals(features)
        shares = singular / singular.sum()
        rank = torch.special.entr(shares).sum().exp().item()
        return Result(EFFECTIVE_RANK, rank, len(features))
