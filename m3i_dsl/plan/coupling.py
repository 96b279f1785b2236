"""What modules ask of the rows of other processes: candidates, and statistics of the global batch.

Takes: a module whose step runs inside, as one process. Gives: the collectives that the same step calls in a world.
Guarantees: a rule for each kind of module, written from what it computes: what is gathered comes back as a scatter of
gradients where it takes any, a sum comes back as a sum. Features are widened to float32 before they are sent.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from m3i_dsl.modules.assignments import Centering, Sinkhorn
from m3i_dsl.modules.boltzmann import (
    LARGEST_BLOCK,
    LARGEST_WHOLE,
    CategoryBoltzmann,
    SampleBoltzmann,
    TextBoltzmann,
)
from m3i_dsl.modules.penalties import Decorrelation, Invariance, UniGrad
from m3i_dsl.modules.weightings import GradNorm, Likelihood, LossNorm
from m3i_dsl.plan.exchanges import Exchange, Operation, Purpose

FULL = 4
"""Bytes of float32: the least that sums, moments and features are computed in."""


class _Sent(NamedTuple):
    """`size` bytes of one process; all processes gather or scatter `size` times their number."""

    operation: Operation
    purpose: Purpose
    size: int


Rule = Callable[[int], Iterator[_Sent]]
"""What one call sends in a world of so many processes."""


class Coupling:
    """Calls of the modules that read more than their own rows."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._module = module
        self._calls: list[Rule] = []
        self._hooks: list[Any] = []
        self._given: list[weakref.ref[Tensor]] = []
        self._norms = _BatchNorms(self._calls)

    def __enter__(self) -> None:
        for part in self._module.modules():
            for kind, rule in _RULES.items():
                if isinstance(part, kind):
                    self._hooks.append(part.register_forward_pre_hook(self._called(rule), with_kwargs=True))
        self._norms.__enter__()

    def __exit__(self, *fault: object) -> None:
        self._norms.__exit__(*fault)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def exchanges(self, world: int) -> Iterator[Exchange]:
        """Those of a step in a world of so many processes."""
        for call in self._calls:
            for sent in call(world):
                alike = sent.operation == "all-reduce"
                yield Exchange(sent.operation, sent.purpose, sent.size if alike else sent.size * world, world)

    def _called(self, rule: Callable[..., Rule]) -> Any:
        def call(part: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._calls.append(rule(part, *arguments, **named))
            if isinstance(given := named.get("correlation"), Tensor) and self._new(given):
                self._calls.append(_sums(FULL * given.numel(), 2 if given.requires_grad else 1))

        return call

    def _new(self, correlation: Tensor) -> bool:
        """A matrix that several losses read was summed once, by a function of the graph."""
        if any(seen() is correlation for seen in self._given):
            return False
        self._given.append(weakref.ref(correlation))
        return True


class _BatchNorms(TorchFunctionMode):
    """Batch norms in training, of modules and of representations: all are torch's one function in one process."""

    def __init__(self, calls: list[Rule]) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        if func is F.batch_norm and _training(*args, **given):
            x: Tensor = next(iter(args))
            self._calls.append(_batch_norm(x, out))
        return out


def _training(
    input: Tensor, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False, *_: Any, **__: Any
) -> bool:
    """The argument of `torch.nn.functional.batch_norm`."""
    return training


def _batch_norm(x: Tensor, out: Tensor) -> Rule:
    """Means and variances of each process; their gradients are two sums."""
    channels, gradient = x.shape[1], out.requires_grad

    def sent(_: int) -> Iterator[_Sent]:
        yield _Sent("all-gather", "statistics", 2 * FULL * channels)
        if gradient:
            yield _Sent("all-reduce", "statistics", 2 * FULL * channels)

    return sent


def _moment(first: Tensor, second: Tensor) -> Rule:
    """A second moment [E, E] of the global batch, and its gradient."""
    size, gradient = FULL * first.shape[-1] * second.shape[-1], first.requires_grad or second.requires_grad
    return _sums(size, 2 if gradient else 1)


def _sums(size: int, count: int = 1) -> Rule:
    return lambda _: iter([_Sent("all-reduce", "statistics", size)] * count)


def _unigrad(_: UniGrad, prediction: Tensor, target: Tensor) -> Rule:
    return _sums(FULL * target.shape[-1] ** 2)


def _correlation(_: nn.Module, first: Tensor, second: Tensor, correlation: Tensor | None = None) -> Rule:
    """One that is given has been counted: see `Coupling._given`."""
    return _moment(first, second) if correlation is None else _sums(0, 0)


def _centering(part: Centering, *scores: Tensor) -> Rule:
    return _sums(FULL * part.center.numel(), int(part.training))


def _sinkhorn(part: Sinkhorn, *scores: Tensor) -> Rule:
    return _sums(FULL * scores[0].shape[-1], part.iterations * len(scores))


def _weighting(_: nn.Module, losses: list[Tensor], shared: Tensor) -> Rule:
    """The losses, the norms of gradients, or the gradient of each learned weight."""
    return _sums(FULL * len(losses))


def _categories(part: CategoryBoltzmann, *_: Any) -> Rule:
    return lambda _: _temperature(part, 1)


def _texts(part: TextBoltzmann, prediction: Tensor, texts: Tensor, tokens: Tensor, partnered: bool = False) -> Rule:
    def sent(world: int) -> Iterator[_Sent]:
        yield _Sent("all-gather", "candidates", tokens_size)
        for tensor in chosen:
            yield from tensor
        chunked = rows * rows * world > LARGEST_WHOLE
        yield from _temperature(part, 1 if chunked or not part.symmetric else 2)

    rows, tokens_size = len(prediction), tokens.nbytes
    chosen = [_candidates(texts), *([_candidates(prediction)] if part.symmetric else [])]
    return sent


def _samples(part: SampleBoltzmann, prediction: Tensor, target: Tensor, keys: Tensor | None = None) -> Rule:
    chosen: list[list[_Sent]] = []
    for tensor in (target, prediction) if part.symmetric else (target,):
        if part.queue is None and tensor.dim() == 3 and part.tokens_per_image is not None:
            chosen.append(_candidates(tensor, min(part.tokens_per_image, tensor.shape[1])))
        elif part.queue is None:
            chosen.append(_candidates(tensor))
    if part.queue is not None and part.training:
        pushed = target if keys is None else keys
        chosen.append([_Sent("all-gather", "candidates", len(pushed) * pushed.shape[-1] * pushed.itemsize)])
    rows, dense = prediction.shape[:2] if prediction.dim() == 3 else (len(prediction), 0)

    def sent(world: int) -> Iterator[_Sent]:
        for tensor in chosen:
            yield from tensor
        times = 1
        if dense and part.queue is None:
            tokens = dense if part.tokens_per_image is None else min(part.tokens_per_image, dense)
            block = max(1, LARGEST_BLOCK // (dense * max(1, tokens) * rows * world))
            times = -(-rows // block)
        yield from _temperature(part, times * (2 if part.symmetric else 1))

    return sent


def _candidates(features: Tensor, tokens: int | None = None) -> list[_Sent]:
    """Of all samples, or `tokens` of each; gradients come back as they went."""
    numbers = features.numel() if tokens is None else len(features) * tokens * features.shape[-1]
    size = numbers * max(FULL, features.itemsize)
    forth = _Sent("all-gather", "candidates", size)
    return [forth, _Sent("reduce-scatter", "candidates", size)] if features.requires_grad else [forth]


def _temperature(part: CategoryBoltzmann | TextBoltzmann | SampleBoltzmann, times: int) -> Iterator[_Sent]:
    """The gradient of a learned one, which is asked of all processes each time that it is used."""
    if part.temperature.log_inverse is not None:
        yield from [_Sent("all-reduce", "statistics", FULL)] * times


_RULES: dict[type[nn.Module], Callable[..., Rule]] = {
    TextBoltzmann: _texts,
    SampleBoltzmann: _samples,
    UniGrad: _unigrad,
    Invariance: _correlation,
    Decorrelation: _correlation,
    Centering: _centering,
    Sinkhorn: _sinkhorn,
    LossNorm: _weighting,
    GradNorm: _weighting,
    Likelihood: _weighting,
    CategoryBoltzmann: _categories,
}
