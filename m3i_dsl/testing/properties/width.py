"""A step in float64 is computed in float64: no part works with fewer bits than it is given.

Every comparison with a reference, and every other property here, is one of float64. A part that narrows its input, and
one that widens the result again, shows by its numbers: float32 holds all of them, though it does not hold the input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from m3i_dsl.semantics.packages import placed_words, words_in
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, Property
from m3i_dsl.vocabulary.blame import named
from m3i_dsl.vocabulary.word import Word


class _Widths(fx.Interpreter):
    """Runs a step, and fails at the first part that is narrower than what it is given."""

    def __init__(self, case: Case, module: fx.GraphModule) -> None:
        super().__init__(module)
        self._case = case
        self._words: dict[str, Word] = {
            f"{part.section}.{part.name}": part.word for part in case.executable.graph.modules
        }
        self.parts = 0

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = super().call_module(target, args, kwargs)
        given, yielded = _numbers((args, kwargs)), _numbers(found)
        self.parts += 1
        narrow = [value for value in yielded if value.dtype != torch.float64]
        if not narrow and any(map(_needs_float64, given)) and not any(map(_needs_float64, yielded)):
            narrow = [value for value in yielded if _is_drawn(value)]
        if narrow:
            word = self._words[str(target)]
            dtype = narrow[0].dtype if narrow[0].dtype != torch.float64 else torch.float32
            message = f"the module of {word.kind} {named(word)} computes in {dtype} what it is given in float64"
            span = next((p.span for p in placed_words(self._case.program) if word in words_in(p.word)), None)
            raise Failed(message, span)
        return found


def _numbers(values: object) -> list[Tensor]:
    """The real tensors in nested values."""
    if isinstance(values, Tensor):
        return [values.detach()] if values.is_floating_point() else []
    if isinstance(values, dict):
        return [number for value in values.values() for number in _numbers(value)]
    if isinstance(values, tuple | list):
        return [number for value in values for number in _numbers(value)]
    return []


def _needs_float64(value: Tensor) -> bool:
    return bool((value.float().double() != value).any())


def _is_drawn(value: Tensor) -> bool:
    """Whether it has numbers other than whole ones, which any type holds."""
    return bool((value != value.round()).any())


def _check(case: Case) -> str:
    executable = case.copy()
    module: nn.Module = executable.module
    assert isinstance(module, fx.GraphModule)
    widths, batch = _Widths(case, module), case.batch()
    with torch.no_grad():
        widths.run(*(batch[str(node.target)] for node in module.graph.nodes if node.op == "placeholder"))
    return f"{widths.parts} calls of parts keep float64"


WIDTH = Property("float64", "a step in float64 is computed in float64", _check)
