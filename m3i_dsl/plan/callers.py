"""Which part of a step called a collective, in its forward pass or in its backward pass.

Takes: the record of a recorded world, the parts by name, and a step that runs inside. Gives: the parts that were
called; and writes into the record who calls, as long as the call lasts. Guarantees: no part is asked what it is. The
nodes that autograd makes during a call are those of the part, so that what their backward passes send is the part's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils._pytree import tree_flatten

from m3i_dsl.collectives import Record


class Callers:
    """`called` names the parts that were called inside."""

    def __init__(self, record: Record, parts: Mapping[str, nn.Module]) -> None:
        self.called: set[str] = set()
        self._record = record
        self._parts = parts
        self._known: set[Node] = set()
        self._hooks: list[Any] = []
        self._outer: list[str] = []
        """Who called before each call and node that runs: a part may differentiate others in its forward pass."""

    def __enter__(self) -> Callers:
        for name, part in self._parts.items():
            self._hooks.append(part.register_forward_pre_hook(self._begin(name), with_kwargs=True))
            self._hooks.append(part.register_forward_hook(self._end(name), always_call=True))
        return self

    def __exit__(self, *fault: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._known.clear()

    def between(self, *made: object) -> None:
        """What led to the tensors in `made`, and is no part's, is nobody's."""
        self._belongs("", made)

    def _begin(self, name: str) -> Any:
        def begin(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            self.between(arguments, named)
            self.called.add(name)
            self._enter(name)

        return begin

    def _end(self, name: str) -> Any:
        def end(_: nn.Module, __: Any, output: Any) -> None:
            self._leave()
            self._belongs(name, output)

        return end

    def _belongs(self, name: str, made: object) -> None:
        for node in self._new(made):
            self._hooks.append(node.register_prehook(lambda _: self._enter(name)))
            self._hooks.append(node.register_hook(lambda *_: self._leave()))

    def _enter(self, name: str) -> None:
        self._outer.append(self._record.caller)
        self._record.caller = name

    def _leave(self) -> None:
        self._record.caller = self._outer.pop()

    def _new(self, made: object) -> Iterator[Node]:
        """The nodes behind the tensors of `made` that are not known yet."""
        waiting = [item.grad_fn for item in tree_flatten(made)[0] if isinstance(item, Tensor)]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in self._known:
                self._known.add(node)
                yield node
                waiting += [before for before, _ in node.next_functions]
