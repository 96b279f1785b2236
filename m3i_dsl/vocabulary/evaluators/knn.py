"""`knn`: the weighted nearest-neighbour classifier on frozen features."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from m3i_dsl.vocabulary.kinds import Evaluator, Pooling, Result, Splits, Subject
from m3i_dsl.vocabulary.values import Count, Number
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Knn(Evaluator):
    """Accuracy of a weighted k-nearest-neighbour classifier on frozen, l2-normalised features.

    A test image x takes the category with the largest sum of exp(cos(x, x_i) / T) over its k nearest training images
    x_i. Nothing is trained, so it says how the features lie as they are, and it is cheap enough to run during training.
    Source: Wu et al. 2018 (instance discrimination), section 3.4; k = 20 and T = 0.07 as in DINO (Caron et al. 2021).
    """

    name: ClassVar[str] = "knn"
    on_all_processes: ClassVar[bool] = True

    k: Count = argument(20, doc="the number of neighbours that vote", origin="DINO", minimum=1)
    temperature: Number = argument(0.07, doc="T of the votes' weights exp(cos / T)", origin="DINO", above=0)
    pool: Literal["mean", "class"] = argument(
        "mean", doc="the feature of an image: the mean of its grid tokens, or its class token", origin="our choice"
    )

    def pooling(self) -> Pooling:
        return self.pool

    def measure(self, subject: Subject, splits: Splits) -> Result:
        from m3i_dsl.evaluation.knn import knn

        train, test = splits.train, splits.test
        return knn(
            subject.own_features(train, self.pool),
            train,
            subject.features(test, self.pool),
            test.labels,
            k=self.k,
            temperature=self.temperature,
            categories=splits.categories,
            details=subject.details,
            device=splits.device,
            team=splits.team,
        )
