"""Schedules: the factor on the learning rate after warmup."""

from m3i_dsl.vocabulary.kinds import Schedule
from m3i_dsl.vocabulary.schedules.constant import Constant
from m3i_dsl.vocabulary.schedules.cosine import Cosine
from m3i_dsl.vocabulary.schedules.linear import LinearSchedule
from m3i_dsl.vocabulary.schedules.multistep import Multistep

WORDS: tuple[type[Schedule], ...] = (Cosine, Constant, LinearSchedule, Multistep)

__all__ = ["WORDS", "Constant", "Cosine", "LinearSchedule", "Multistep"]
