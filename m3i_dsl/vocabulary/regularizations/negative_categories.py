"""`negative categories`: the other categories are the candidates."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import CATEGORIES, Regularization


@dataclass(frozen=True, slots=True)
class NegativeCategories(Regularization):
    """All rows of the class table are candidates: softmax classification."""

    name = "negative categories"
    candidates = CATEGORIES
    certificate = "a constant class table cannot tell the categories apart"
