"""`cosine`: half a cosine from the peak to the floor."""

import math
from dataclasses import dataclass
from typing import ClassVar

from m3i_dsl.vocabulary.kinds import Schedule
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Cosine(Schedule):
    """Half a cosine from the peak rate to `floor` times it (Loshchilov and Hutter 2017, without restarts).

    factor(p) = floor + (1 - floor) (1 + cos(pi p)) / 2 at the share p of the steps after warmup.
    """

    name: ClassVar[str] = "cosine"

    floor: Number = argument(0.0, doc="the last rate over the peak rate", origin="MAE", minimum=0, maximum=1)

    def factor(self, progress: float) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2
