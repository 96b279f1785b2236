"""How each method moves its weights, written out: clipping, schedule, optimizer.

Takes: gradients by the parameter's name. Gives: `Update`, the settings of a method as published, and `Optimizer`, which
moves parameters in place. Guarantees: nothing of the package or of torch.optim is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Curve = Callable[[float], float]
"""A number at a progress in [0, 1)."""


def steady(value: float) -> Curve:
    return lambda _: value


def half_cosine(start: float, stop: float) -> Curve:
    return lambda progress: stop + (start - stop) * (1 + math.cos(math.pi * progress)) / 2


def drop(at: float, by: float) -> Curve:
    return lambda progress: by if progress >= at else 1.0


_TO_ZERO, _DECAY = half_cosine(1, 0), steady(0.05)


@dataclass(frozen=True)
class Update:
    """`lr` is per 256 samples, at the peak; `shape` the factor on it after warmup. `decay` moves over all steps.

    `decayed` says what decays: matrices; with mask tokens and tables of relative places; with all tokens and positions;
    or everything.
    """

    kind: Literal["adamw", "sgd", "lars", "lamb"] = "adamw"
    lr: float = 1e-3
    shape: Curve = _TO_ZERO
    decay: Curve = _DECAY
    decayed: Literal["matrices", "biases", "tensors", "all"] = "matrices"
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    momentum: float = 0.9
    trust: float = 0.001
    bias_lr: float | None = None
    clip: float | None = 1.0
    per_tensor: bool = False
    layer_decay: float = 1.0
    """The factor on the rate from each of the two blocks to the one below, and to what is before them (BEiT)."""
    apart: str = ""
    """Part of the name of parameters that neither decay nor are clipped."""


class Optimizer:
    """The state of an optimizer for parameters by name."""

    def __init__(self, update: Update, batch: int, warmup: int, total: int) -> None:
        self.update, self.batch, self.warmup, self.total = update, batch, warmup, total
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}
        self.moved: dict[str, int] = {}

    @torch.no_grad()
    def step(self, number: int, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Step `number` (0-based): theta moves in place."""
        update = self.update
        if number < self.warmup:
            factor = (number + 1) / self.warmup
        else:
            factor = update.shape((number - self.warmup) / (self.total - self.warmup))
        for name, gradient in clipped(update, gradients).items():
            parameter = parameters[name]
            decays = does_decay(update.decayed, name, parameter) and not is_apart(update, name)
            decay = update.decay(number / self.total) if decays else 0.0
            peak = update.lr if decays or update.bias_lr is None else update.bias_lr
            rate = peak * self.batch / 256 * factor * layer_factor(update, name)
            if update.kind in ("adamw", "lamb"):
                self._adam(name, parameter, gradient, rate, decay)
                continue
            direction = gradient + decay * parameter
            if update.kind == "lars" and decays:
                direction = update.trust * length(parameter) / length(direction) * direction
            self.first[name] = update.momentum * self.first.get(name, torch.zeros_like(parameter)) + direction
            parameter.sub_(rate * self.first[name])

    def _adam(self, name: str, parameter: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        one, two = self.update.betas
        zero = torch.zeros_like(parameter)
        number = self.moved.get(name, 0)
        self.moved[name] = number + 1
        self.first[name] = one * self.first.get(name, zero) + (1 - one) * gradient
        self.second[name] = two * self.second.get(name, zero) + (1 - two) * gradient.square()
        m = self.first[name] / (1 - one ** (number + 1))
        v = self.second[name] / (1 - two ** (number + 1))
        direction = m / (v.sqrt() + self.update.epsilon) + decay * parameter
        if self.update.kind == "lamb" and decay:
            direction = length(parameter) / length(direction) * direction
        parameter.sub_(rate * direction)


def length(x: Tensor) -> Tensor:
    return x.square().sum().sqrt()


def clipped(update: Update, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """g min(1, clip / (norm + 1e-6)), the norm of all together or of each by itself."""
    if update.clip is None:
        return dict(gradients)
    counted = {name: gradient for name, gradient in gradients.items() if not is_apart(update, name)}
    together = torch.stack([gradient.square().sum() for gradient in counted.values()]).sum().sqrt()
    norms = {name: length(g) if update.per_tensor else together for name, g in counted.items()}
    shortened = {name: g * min(1.0, update.clip / (float(norms[name]) + 1e-6)) for name, g in counted.items()}
    return {**gradients, **shortened}


def layer_factor(update: Update, name: str) -> float:
    """Of a network of two blocks; the norm behind them and all heads move at the full rate."""
    part = re.match(r"encoders\.\w+\.(?:model\.)?(?:blocks\.(\d+)\.|(norm\.))?", name)
    if part is None or part[2]:
        return 1.0
    return update.layer_decay ** (3 if part[1] is None else 2 - int(part[1]))


def is_apart(update: Update, name: str) -> bool:
    return bool(update.apart) and update.apart in name


def does_decay(rule: str, name: str, parameter: Tensor) -> bool:
    """What the method's code lets decay."""
    if re.search(r"(mask_token|relative_position_bias_table)$", name):
        return rule != "matrices"
    if re.search(r"(cls_token|pos_embed|positions)$", name):
        return rule in ("tensors", "all")
    return rule == "all" or parameter.ndim > 1
