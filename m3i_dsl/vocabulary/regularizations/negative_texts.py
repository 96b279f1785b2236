"""`negative texts`: the other texts are the candidates."""

from dataclasses import dataclass
from typing import ClassVar

from m3i_dsl.vocabulary.kinds import Candidates, Regularization


@dataclass(frozen=True, slots=True)
class NegativeTexts(Regularization):
    """The texts of the global batch are candidates, each different text once (CLIP counts repeats as negatives)."""

    name = "negative texts"
    candidates: ClassVar[Candidates | None] = "texts"
    certificate = "a constant text embedding cannot tell the texts apart"
