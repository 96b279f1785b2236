"""The most memory that tensors of a computation hold at a time.

Takes: a function. Gives: bytes of the storages that came into being in it, at their peak. Guarantees: every storage
counts once, however many views it has, from its creation until it is freed; inputs that were there before do not count.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = {leaf.untyped_storage() for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage not in before and storage not in self.known:
                    self._count(storage)
        return result

    def _count(self, storage: Any) -> None:
        size = storage.nbytes()
        self.known.add(storage)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.held -= size


def peak_bytes(function: Callable[[], object]) -> int:
    """Bytes at the peak of one call."""
    with _Recorder() as recorder:
        function()
    return recorder.peak
