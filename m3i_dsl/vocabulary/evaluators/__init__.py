"""Evaluators: what a recipe may ask to be measured on its frozen encoder.

Takes: nothing. Gives: `WORDS`, the evaluators of the language; the measuring is in `m3i_dsl/evaluation/<name>.py`.
Fine-tuning, detection and segmentation join here as `fine_tune.py`, `detection.py` and `segmentation.py`.
"""

from m3i_dsl.vocabulary.evaluators.knn import Knn
from m3i_dsl.vocabulary.evaluators.linear import Linear
from m3i_dsl.vocabulary.evaluators.zero_shot import ZeroShot
from m3i_dsl.vocabulary.kinds import Evaluator

WORDS: tuple[type[Evaluator], ...] = (Knn, Linear, ZeroShot)

__all__ = ["WORDS", "Knn", "Linear", "ZeroShot"]
