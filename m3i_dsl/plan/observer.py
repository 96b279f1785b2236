"""The collectives that a step calls, as they reach torch.distributed.

Takes: whatever runs inside. Gives: an `Exchange` for each collective, in order. Guarantees: it is recorded from the
tensors that are sent, below every wrapper; a collective of a kind that is not known here is an error and not a gap.

What FSDP2 sends is told by its buffers: it copies parameters into those it gathers and gradients into those it
scatters, by operators of its own. What m3i_dsl/collectives send they tell it themselves; whatever else is sent
counts as statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from m3i_dsl.collectives import watched
from m3i_dsl.plan.exchanges import Exchange, Operation, Purpose

_SILENT = frozenset({"wait_tensor", "_wrap_tensor_autograd", "barrier", "monitored_barrier_"})


# The functional collectives know groups by name; torch has no public way back.
_resolve: Any = dist.distributed_c10d._resolve_process_group  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


class UnknownCollective(RuntimeError):
    """A step called a collective that the observer cannot count."""


class CollectiveObserver(TorchDispatchMode):
    """`exchanges` of what runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []
        self._purposes: dict[int, Purpose] = {}
        self._watching = ExitStack()

    def marked(self, buffer: Tensor, purpose: Purpose) -> None:
        """What is in `buffer` is sent next, for `purpose`."""
        self._purposes[_key(buffer)] = purpose

    def __enter__(self) -> CollectiveObserver:
        self._purposes.clear()  # of buffers that were sent unseen, whose places others may have by now
        self._watching.enter_context(watched(self.marked))
        super().__enter__()
        return self

    def __exit__(self, *fault: Any) -> None:
        super().__exit__(*fault)
        self._watching.close()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if any(issubclass(type_, DTensor) for type_ in types):
            return NotImplemented  # comes back with the tensors that it is made of
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if func.namespace == "fsdp":
            if name == "all_gather_copy_in":
                self.marked(out[1], "parameters")
            elif name == "chunk_cat":
                self.marked((kwargs or {})["out"], "gradients")
        elif func.namespace == "c10d" and name not in _SILENT:
            self._c10d(name, args)
        elif func.namespace == "_c10d_functional" and name not in _SILENT:
            self._functional(name, args, out)
        return out

    def _c10d(self, name: str, args: tuple[Any, ...]) -> None:
        ranks = next(_size(argument) for argument in args if isinstance(argument, torch.ScriptObject))
        match name:
            case "_allgather_base_":
                self._record("all-gather", args[0], ranks, self._purpose(args[0]))
            case "_reduce_scatter_base_":
                purpose = self._purpose(args[1])
                self._record("reduce-scatter", args[1], ranks, purpose)
                if purpose == "gradients":
                    self.marked(args[0], purpose)  # of which replicas make the mean
            case "allreduce_":
                (tensor,) = args[0]
                self._record("all-reduce", tensor, ranks, self._purpose(tensor))
            case _:
                raise UnknownCollective(f"the step calls `c10d::{name}`, which is not counted")

    def _functional(self, name: str, args: tuple[Any, ...], out: Tensor) -> None:
        """Those of DTensors."""
        if name not in ("all_reduce", "all_reduce_"):
            raise UnknownCollective(f"the step calls `_c10d_functional::{name}`, which is not counted")
        self._record("all-reduce", args[0], _resolve(args[2]).size(), "statistics")

    def _record(self, operation: Operation, tensor: Tensor, ranks: int, purpose: Purpose) -> None:
        if ranks > 1:
            across = operation == "all-reduce" and purpose == "gradients" and ranks < dist.get_world_size()
            self.exchanges.append(Exchange(operation, purpose, tensor.nbytes, ranks, across))

    def _purpose(self, tensor: Tensor) -> Purpose:
        return self._purposes.pop(_key(tensor), "statistics")


def _size(group: torch.ScriptObject) -> int:
    return dist.ProcessGroup.unbox(group).size()


def _key(tensor: Tensor) -> int:
    """What tells a living storage from every other; torch has no public name for it."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
