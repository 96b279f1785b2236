"""`constant`: the peak rate to the end."""

from dataclasses import dataclass
from typing import ClassVar

from m3i_dsl.vocabulary.kinds import Schedule


@dataclass(frozen=True, slots=True)
class Constant(Schedule):
    """The peak rate from the end of warmup to the end of training."""

    name: ClassVar[str] = "constant"

    def factor(self, progress: float) -> float:
        return 1.0
