"""`linear`: a straight line from the peak to the floor."""

from dataclasses import dataclass
from typing import ClassVar

from m3i_dsl.vocabulary.kinds import Schedule
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class LinearSchedule(Schedule):
    """A straight line from the peak rate to `floor` times it: factor(p) = 1 - (1 - floor) p."""

    name: ClassVar[str] = "linear"

    floor: Number = argument(0.0, doc="the last rate over the peak rate", origin="our choice", minimum=0, maximum=1)

    def factor(self, progress: float) -> float:
        return 1 - (1 - self.floor) * progress
