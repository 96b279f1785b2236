"""One training step.

Takes: a batch and the step's number. Gives: its losses, still on the device. Does, in this order: forward, check,
backward, clip, check, optimizer, averages. Guarantees: nothing here waits for the device unless the optimizer cannot
skip a step by itself; a non-finite loss or gradient moves no weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m3i_dsl.collectives.sharded import whole
from m3i_dsl.runtime.distributed.wrapping import Parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.interfaces import Batch
from m3i_dsl.runtime.microbatches import microbatches_of
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate, ramp_at
from m3i_dsl.vocabulary.values import Clip, Ramp

# One kernel over lists of tensors; torch has no public name for it.
_norms: Any = torch._foreach_norm  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Detached results. Losses are means over the microbatches of the batch; `representations` are those of the first
    microbatch.
    """

    loss: Tensor
    losses: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    representations: Mapping[str, Tensor]
    gradient_norm: Tensor

    def scalars(self) -> dict[str, float]:
        """`loss`, `gradient_norm`, `losses/NAME` and `weights/NAME` as numbers: one transfer from the device."""
        named = {"loss": self.loss, "gradient_norm": self.gradient_norm}
        named |= {f"losses/{name}": value for name, value in self.losses.items()}
        for name, value in self.weights.items():
            named |= {f"weights/{key}": item for key, item in _entries(name, value)}
        values: list[float] = torch.stack([value.detach().double() for value in named.values()]).tolist()
        return dict(zip(named, values, strict=True))


def can_skip(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer reads a flag on the device and skips the step by itself (torch's fused ones do)."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


class TrainingStep:
    """Everything that a step changes, together. `microbatches` is the number of parts that the batch is computed in."""

    def __init__(
        self,
        parallel: Parallel,
        optimizer: torch.optim.Optimizer,
        averages: MovingAverages,
        rate: LearningRate,
        guard: Guard,
        precision: Precision,
        *,
        scalars: Scalars,
        clip: Clip | None,
        decay: Ramp | None,
        microbatches: int,
    ) -> None:
        self._parallel = parallel
        self._optimizer: Any = optimizer
        self._averages = averages
        self._rate = rate
        self._guard = guard
        self._precision = precision
        self._scalars = scalars
        self._clip, self._decay = clip, decay
        self._microbatches = microbatches
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._confirmed = False

    def __call__(self, step: int, batch: Batch) -> StepOutput:
        """Raises NonFiniteStep, at once or (guard.deferred) at the next `guard.poll`."""
        self._guard.before(step)
        self._scalars.set(step)
        self._optimizer.zero_grad(set_to_none=True)
        output = self._forward_backward(step, batch)
        self._scalars.hold(step)
        gradients = [parameter.grad for parameter in self._trained if parameter.grad is not None]
        norms = whole(torch.stack(_norms(gradients)))
        norm = torch.linalg.vector_norm(norms)
        self._guard.decide(step, norm)
        self._shorten(norm, norms)
        self._move(step)
        return StepOutput(output.loss, output.losses, output.weights, output.representations, norm)

    def _forward_backward(self, step: int, batch: Batch) -> StepOutput:
        parts: list[Any] = []
        for number, part in enumerate(microbatches_of(batch, self._microbatches), start=1):
            with self._parallel.accumulating(last=number == self._microbatches):
                with self._precision.context():
                    outputs: Any = self._parallel.call(**part)
                self._guard.check(step, outputs["loss"])
                loss = outputs["loss"] if self._microbatches == 1 else outputs["loss"] / self._microbatches
                loss.backward()
            parts.append(outputs)
        first = parts[0]
        return StepOutput(
            loss=_mean([outputs["loss"] for outputs in parts]),
            losses={name: _mean([outputs["losses"][name] for outputs in parts]) for name in first["losses"]},
            weights={name: _mean([outputs["weights"][name] for outputs in parts]) for name in first.get("weights", {})},
            representations=first.get("representations", {}),
            gradient_norm=torch.zeros(()),
        )

    def _shorten(self, norm: Tensor, norms: Tensor) -> None:
        """Clips gradients, whose norms are `norms` and together `norm`; each by itself where the recipe says so."""
        if self._clip is None:
            return
        moved = [parameter for parameter in self._trained if parameter.grad is not None]
        clipped = [index for index, parameter in enumerate(moved) if id(parameter) not in self._scalars.unclipped]
        if self._clip.per_tensor:
            for index in clipped:
                torch.nn.utils.clip_grads_with_norm_([moved[index]], self._clip.norm, norms[index])
            return
        if len(clipped) < len(moved):
            norm = torch.linalg.vector_norm(torch.stack([norms[index] for index in clipped]))
        torch.nn.utils.clip_grads_with_norm_([moved[index] for index in clipped], self._clip.norm, norm)

    def _move(self, step: int) -> None:
        factor = self._rate.factor(step)
        decay = None if self._decay is None else ramp_at(self._decay, step, self._rate.total)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
            if decay is not None and group["role"] == "decayed":
                group["weight_decay"] = decay
        skip = None
        if self._guard.deferred:
            if not self._confirmed:
                # A fused SGD that skips its very first step would leave its momentum uninitialised: wait this once.
                self._guard.poll()
                self._confirmed = True
            skip = self._guard.skip
            if can_skip(self._optimizer):
                self._optimizer.found_inf = skip
        self._optimizer.step()
        self._parallel.gather_free()
        self._averages.update(step, skip)


def _mean(values: list[Tensor]) -> Tensor:
    if len(values) == 1:
        return values[0].detach()
    return torch.stack([value.detach() for value in values]).mean(0)


def _entries(name: str, value: Tensor) -> list[tuple[str, Tensor]]:
    if value.ndim == 0:
        return [(name, value)]
    return [(f"{name}.{index}", item) for index, item in enumerate(value.flatten())]
