"""Optimizers: how parameters move."""

from m3i_dsl.vocabulary.kinds import Optimizer
from m3i_dsl.vocabulary.optimizers.adamw import AdamW
from m3i_dsl.vocabulary.optimizers.lamb import Lamb
from m3i_dsl.vocabulary.optimizers.lars import Lars
from m3i_dsl.vocabulary.optimizers.sgd import Sgd

WORDS: tuple[type[Optimizer], ...] = (AdamW, Sgd, Lars, Lamb)

__all__ = ["WORDS", "AdamW", "Lamb", "Lars", "Sgd"]
