"""How a recipe is trained.

Takes: arguments of `train`. Gives: an optimizer, a factor of the learning rate for each step. Guarantees: no torch at
import.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.values import Ramp
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import torch
    from torch import nn


class Optimizer(Word):
    """How parameters move."""

    kind: ClassVar[Kind] = "optimizer"

    @abstractmethod
    def build(self, module: nn.Module, batch: int) -> torch.optim.Optimizer:
        """Over the parameters of `module` that require gradients, in groups with and without weight decay; each group
        has `initial_lr`, the peak rate at global batch `batch`, already layer-decayed."""

    def decay_ramp(self) -> Ramp | None:
        """How the weight decay of the groups whose `role` is "decayed" moves over all steps; None: it stays."""
        return None

    def norms(self, module: nn.Module) -> int:
        """How many norms of whole tensors a step needs; of sharded ones they are summed over the ranks, in one row."""
        return 0


class Schedule(Word):
    """The factor on the learning rate after warmup."""

    kind: ClassVar[Kind] = "schedule"

    @abstractmethod
    def factor(self, progress: float) -> float:
        """The factor in [0, 1] at `progress` in [0, 1] of the steps after warmup."""
