"""Numbers that a loss learns: a temperature, the spread of a likelihood, how many codes are used.

Takes: the module that learns them. Gives: their values now, for the record of a run. Guarantees: reading them changes
nothing, takes part in no gradient, and does not make the host wait.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Floor:
    """Below `limit` a number `means` that something is wrong; `help` says what to do."""

    limit: float
    means: str
    help: str


class LearnedScalars(nn.Module):
    """A module with numbers that are worth a curve."""

    @abstractmethod
    def learned_scalars(self) -> Mapping[str, Tensor]:
        """By name, in the unit that a recipe gives them in: [1], or [K] for the K targets of an objective."""
        raise NotImplementedError

    def floors(self) -> Mapping[str, Floor]:
        """By name, where a number should stay above one after the warmup."""
        return {}
