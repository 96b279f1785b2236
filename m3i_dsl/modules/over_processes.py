"""Foreign models over several processes: batch norm, stochastic depth and dropout of the global batch.

Takes: a model of timm. Gives: the same model. Guarantees: parameters, buffers and their names stay; with one process it
computes what it did, bit by bit; a part that would couple or draw for the rows of one process only is refused.
"""

from __future__ import annotations

from typing import TypeVar

from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # of all of torch's

from m3i_dsl.collectives import drawn, world
from m3i_dsl.modules.batch_norm import GlobalBatchNorm1d, GlobalBatchNorm2d, GlobalBatchNormAct2d
from m3i_dsl.vocabulary.kinds import WordError


class GlobalDropPath(DropPath):
    """timm's stochastic depth; which samples skip the branch is drawn for the global batch."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop_prob or world().size == 1:
            return super().forward(x)
        keep = 1 - self.drop_prob
        mask = drawn(x, (len(x), *[1] * (x.dim() - 1)), lambda whole: whole.bernoulli_(keep))
        return x * (mask / keep if keep > 0 and self.scale_by_keep else mask)


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


def over_all_processes(model: M) -> M:
    """Gives parts of `model` the class that does the same over all processes, in place, as `fully_shard` does.

    Raises WordError for a batch norm of a kind that has none.
    """
    for name, part in model.named_modules():
        if type(part) in _GLOBAL:
            part.__class__ = _GLOBAL[type(part)]  # pyright: ignore[reportAttributeAccessIssue]  # a subclass of its own
        elif isinstance(part, _BatchNorm) and type(part) not in _GLOBAL.values():
            raise WordError(f"`{name}` is a {type(part).__name__}, whose statistics cannot be those of all processes")
    return model
