"""`linear`: a logistic regression on frozen features."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from m3i_dsl.vocabulary.kinds import Evaluator, Pooling, Result, Splits, Subject
from m3i_dsl.vocabulary.values import Fraction, Numbers
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class LinearProbe(Evaluator):
    """Accuracy of a logistic regression on frozen, standardised features (the linear probe).

    The weights minimise |W|^2 / 2 + C * sum_i CE(W z_i + b, y_i), with every channel of z brought to mean 0 and
    standard deviation 1 over the training split. C is chosen from `c` by accuracy on a `held_out` share of the
    *training* split, the same share of every category; then W is fitted to the whole training split. The test split is
    used once, for the accuracy. Source: logistic regression swept over C, as in CLIP (Radford et al. 2021), appendix
    A.3.
    """

    name: ClassVar[str] = "linear"
    on_all_processes: ClassVar[bool] = True

    c: Numbers = argument(
        (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0), doc="the candidates for C, the inverse of the l2 penalty", above=0
    )
    held_out: Fraction = argument(0.2, doc="the share of the training split on which C is chosen", above=0, maximum=0.5)
    pool: Literal["mean", "class"] = argument(
        "mean", doc="the feature of an image: the mean of its grid tokens, or its class token", origin="MAE"
    )

    def pooling(self) -> Pooling:
        return self.pool

    def measure(self, subject: Subject, splits: Splits) -> Result:
        from m3i_dsl.evaluation.linear_probe import linear_probe

        return linear_probe(
            subject,
            self.pool,
            splits,
            c=self.c,
            held_out=self.held_out,
        )
