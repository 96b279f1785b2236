"""Memory of a step, from the life of every tensor in it.

Takes: a fake copy and the program's optimizer. Gives: bytes of weights, gradients, optimizer states, activations, and
the peak. Guarantees: each storage counts once, from where it is made to where autograd frees it, so recomputation,
sharing and stop gradients show. Not in it: the CUDA context, fragmentation of the allocator and workspaces of
libraries.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from m3i_dsl.plan.fake_copy import FakeCopy
from m3i_dsl.semantics.training import Training


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes. `activations` is what lives from the forward pass to the backward pass; `copies` are the weights in bf16
    that autocast keeps until then; `peak` the most that a step holds at a time beside weights, batch and `optimizer`,
    gradients included. `batch` is the inputs.
    """

    batch: int
    activations: int
    copies: int
    gradients: int
    optimizer: int
    peak: int


def measure_memory(fake: FakeCopy, training: Training, *, buckets: bool) -> StepMemory:
    """A forward and a backward pass, and a step of the optimizer.

    `buckets`: gradients have their memory before the step, as those that are reduced over several devices have.
    """
    trained = [parameter for parameter in fake.module.parameters() if parameter.requires_grad]
    with fake.running():
        if buckets:
            for parameter in trained:
                parameter.grad = torch.empty_like(parameter)
        ledger = _Ledger(fake.module)
        with ledger:
            output = fake.module(**fake.batch)
            activations, copies = ledger.live - ledger.live_copies, ledger.live_copies
            output["loss"].backward()
    gradients = sum(parameter.nbytes for parameter in trained if parameter.grad is not None)
    with fake.mode:
        optimizer = training.optimizer.word.build(fake.module, training.batch)
        optimizer.step()
    states = sum(
        value.nbytes for value in tree_flatten(optimizer.state_dict()["state"])[0] if isinstance(value, Tensor)
    )
    return StepMemory(
        batch=sum(value.nbytes for value in fake.batch.values()),
        activations=activations,
        copies=copies,
        gradients=gradients,
        optimizer=states,
        peak=ledger.peak + (gradients if buckets else 0),
    )


class _Ledger(TorchDispatchMode):
    """Bytes of the storages that were made inside and still live."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.live = 0
        self.live_copies = 0
        self.peak = 0
        self._parameters = {id(parameter) for parameter in module.parameters()}
        self._sizes: dict[int, tuple[int, bool]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        copied = func.overloadpacket is torch.ops.aten._to_copy and id(args[0]) in self._parameters
        given = {_key(item.untyped_storage()) for item in tree_flatten((args, kwargs))[0] if isinstance(item, Tensor)}
        for item in tree_flatten(out)[0]:
            if isinstance(item, Tensor) and _key(item.untyped_storage()) not in given:
                self._enter(item.untyped_storage(), copied)
        return out

    def _enter(self, storage: torch.UntypedStorage, copied: bool) -> None:
        key = _key(storage)
        if key in self._sizes:
            return
        size = storage.nbytes()
        self._sizes[key] = size, copied
        self.live += size
        self.live_copies += size if copied else 0
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._leave, key)

    def _leave(self, key: int) -> None:
        size, copied = self._sizes.pop(key)
        self.live -= size
        self.live_copies -= size if copied else 0


def _key(storage: torch.UntypedStorage) -> int:
    """What tells a living storage from every other; torch has no public name for it."""
    return storage._cdata  # pyright: ignore[reportPrivateUsage]
