"""Evaluators: what a recipe may ask to be measured on its encoder.

Takes: nothing. Gives: `WORDS`, the evaluators of the language, and `DEFAULTS`, what a recipe without an `evaluate`
block is measured by. An evaluator measures itself; the functions of torch that these call are in
`m3i_dsl/evaluation/<name>.py`.
"""

from m3i_dsl.vocabulary.evaluators.knn import Knn
from m3i_dsl.vocabulary.evaluators.linear import LinearProbe
from m3i_dsl.vocabulary.evaluators.zero_shot import ZeroShot
from m3i_dsl.vocabulary.kinds import Evaluator

WORDS: tuple[type[Evaluator], ...] = (Knn, LinearProbe, ZeroShot)
DEFAULTS: tuple[Evaluator, ...] = (Knn(), LinearProbe())

__all__ = ["DEFAULTS", "WORDS", "Knn", "LinearProbe", "ZeroShot"]
