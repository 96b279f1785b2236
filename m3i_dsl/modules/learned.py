"""Numbers that a loss learns: a temperature, the spread of a likelihood.

Takes: the module that learns them. Gives: their values now, for the record of a run. Guarantees: reading them changes
nothing, takes part in no gradient, and does not make the host wait.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class LearnedScalars(nn.Module):
    """A module with numbers that are worth a curve."""

    @abstractmethod
    def learned_scalars(self) -> Mapping[str, Tensor]:
        """By name, in the unit that a recipe gives them in: [1], or [K] for the K targets of an objective."""
        raise NotImplementedError
