"""`negative codes`: the other codes are the candidates."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import CODES, Regularization


@dataclass(frozen=True, slots=True)
class NegativeCodes(Regularization):
    """All rows of the table of codes are candidates: softmax over the vocabulary of a tokenizer (BEiT)."""

    name = "negative codes"
    candidates = CODES
    certificate = "a constant table cannot tell the codes apart"
