"""`multistep`: the rate drops by a factor at given moments."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from m3i_dsl.vocabulary.kinds import Schedule, WordError
from m3i_dsl.vocabulary.values import Number, Quantity
from m3i_dsl.vocabulary.word import argument

Moments = Annotated[tuple[float, ...], Quantity("%")]
"""A parenthesised list of percentages, `(60%, 80%)`."""


@dataclass(frozen=True, slots=True)
class Multistep(Schedule):
    """The rate is multiplied by `factor` at each moment of `at`, given as shares of the steps after warmup.

    SimMIM trains 800 epochs, 10 of them warmup, and drops the rate tenfold at epoch 700: `multistep(at: (87.3%,))`.
    """

    name: ClassVar[str] = "multistep"

    at: Moments = argument(doc="when, in shares of the steps after warmup, ascending", above=0, below=1)
    by: Number = argument(0.1, doc="what the rate is multiplied by each time", origin="SimMIM", above=0, maximum=1)

    def __post_init__(self) -> None:
        if list(self.at) != sorted(set(self.at)):
            raise WordError("the moments of `at` do not ascend", argument="at", help="write each moment once, in order")

    def factor(self, progress: float) -> float:
        return self.by ** sum(moment <= progress for moment in self.at)
