"""Foreign models over several processes: batch norm, stochastic depth and dropout of the global batch.

Takes: a model of timm. Gives: the same model. Guarantees: parameters, buffers and their names stay; with one process it
computes what it did, bit by bit, but that stochastic depth draws its own numbers; a part that would couple or draw for
the rows of one process only is refused.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # of all of torch's

from m3i_dsl.collectives import drawn, world
from m3i_dsl.modules.batch_norm import GlobalBatchNorm1d, GlobalBatchNorm2d, GlobalBatchNormAct2d
from m3i_dsl.vocabulary.kinds import WordError


class GlobalDropPath(DropPath):
    """timm's stochastic depth; which samples skip the branch is drawn for the global batch.

    The rate is a tensor and not a number, on which a compiled block would be specialised: blocks of all rates share a
    graph, however deep the encoder.
    """

    keep: Tensor
    """0-dimensional: the probability that a sample keeps the branch."""

    def prepared(self) -> None:
        """Of timm's class before: what this one has besides."""
        self.register_buffer("keep", torch.tensor(1 - (self.drop_prob or 0.0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        # In the dtype of the rate: a bfloat16 has 256 places between 0 and 1.
        kept = drawn(self.keep, (len(x), *[1] * (x.dim() - 1)), Tensor.uniform_) < self.keep
        # A branch that is never kept is nothing, and not nothing over nothing.
        return x * (kept / self.keep.clamp_min(_TINY) if self.scale_by_keep else kept).to(x.dtype)


class GlobalDropout(nn.Dropout):
    """torch's dropout, drawn for the global batch. On a GPU one process draws other numbers, of the same kind."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not self.p or world().size == 1:
            return super().forward(input)
        keep = 1 - self.p
        mask = drawn(input, input.shape, lambda whole: whole.bernoulli_(keep))
        return input * (mask / keep if keep > 0 else mask)


_GLOBAL: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: GlobalBatchNorm1d,
    nn.BatchNorm2d: GlobalBatchNorm2d,
    BatchNormAct2d: GlobalBatchNormAct2d,
    DropPath: GlobalDropPath,
    nn.Dropout: GlobalDropout,
}

M = TypeVar("M", bound=nn.Module)

_TINY = 1e-30


def over_all_processes(model: M) -> M:
    """Gives parts of `model` the class that does the same over all processes, in place, as `fully_shard` does.

    Raises WordError for a batch norm of a kind that has none.
    """
    for name, part in model.named_modules():
        if type(part) in _GLOBAL:
            part.__class__ = _GLOBAL[type(part)]  # pyright: ignore[reportAttributeAccessIssue]  # a subclass of its own
            if isinstance(part, GlobalDropPath):
                part.prepared()
        elif isinstance(part, _BatchNorm) and type(part) not in _GLOBAL.values():
            raise WordError(f"`{name}` is a {type(part).__name__}, whose statistics cannot be those of all processes")
    return model
