"""How a recipe is trained and measured.

Takes: arguments of `train` and `evaluate`. Gives: an optimizer, a factor of the learning rate for each step, a
measurement. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from m3i_dsl.vocabulary.kinds.shapes import Modality, Pooling
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


class Schedule(Word):
    """The factor on the learning rate after warmup."""

    kind: ClassVar[Kind] = "schedule"

    @abstractmethod
    def factor(self, progress: float) -> float:
        """The factor in [0, 1] at `progress` in [0, 1] of the steps after warmup."""


class Evaluator(Word):
    """A measurement of a frozen encoder. The measuring itself is in `evaluation/<name>.py`."""

    kind: ClassVar[Kind] = "evaluator"
    needs: ClassVar[frozenset[Modality]] = frozenset({"category"})

    def pooling(self) -> Pooling | None:
        """How tokens become the feature of an image; None when it takes another path."""
        return None

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other."""
        return
