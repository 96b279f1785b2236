"""`negative texts`: the other texts are the candidates."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import TEXTS, Regularization


@dataclass(frozen=True, slots=True)
class NegativeTexts(Regularization):
    """The texts of the global batch are candidates, each different text once (CLIP counts repeats as negatives)."""

    name = "negative texts"
    candidates = TEXTS
    certificate = "a constant text embedding cannot tell the texts apart"
