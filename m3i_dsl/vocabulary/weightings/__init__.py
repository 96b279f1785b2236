"""Weightings: how the targets of one objective are balanced."""

from m3i_dsl.vocabulary.kinds import Weighting
from m3i_dsl.vocabulary.weightings.fixed import Fixed
from m3i_dsl.vocabulary.weightings.gradnorm import GradNorm
from m3i_dsl.vocabulary.weightings.likelihood import Likelihood
from m3i_dsl.vocabulary.weightings.lossnorm import LossNorm

WORDS: tuple[type[Weighting], ...] = (Fixed, Likelihood, GradNorm, LossNorm)
