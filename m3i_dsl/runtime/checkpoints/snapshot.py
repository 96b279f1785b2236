"""The parts of a run and the content of a checkpoint.

Takes: the parts of a run between two steps. Gives: what a checkpoint of them holds, and puts it back. Guarantees: on
the same machine, with the same number of processes and of threads on a CPU, what was put back trains on with the same
bits.

    weights/NAME            the module's state dict: weights, averages, buffers
    optimizer/NAME/KEY      moments of the weight NAME; groups/NUMBER/KEY
    plain                   step, optimizer's values, random numbers, length of metrics.jsonl, versions, fingerprint
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from m3i_dsl.collectives import world
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.named import (
    WEIGHTS,
    module_tensors,
    optimizer_places,
    optimizer_tensors,
    require_same,
    restore_optimizer,
)
from m3i_dsl.runtime.checkpoints.reading import Checkpoint
from m3i_dsl.runtime.faults import OTHER_RECIPE, TrainingFault
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.run_folder import RunIdentity
from m3i_dsl.runtime.state import RandomState, capture_random, restore_random


@dataclass(frozen=True, slots=True)
class Restored:
    """Where a run goes on: `step` completed steps, `evaluations_due` when those of that step were not recorded yet."""

    step: int
    metrics_bytes: int
    evaluations_due: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parts of a run that a checkpoint is made of."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    identity: RunIdentity
    device: torch.device
    precision: Precision
    kernels: Mapping[str, str] = field(default_factory=dict[str, str])

    def files(self, step: int, *, metrics_bytes: int, evaluations_due: bool) -> Content:
        """The content of a checkpoint after `step` completed steps. Its tensors are the live ones."""
        weights, _ = module_tensors(self.module)
        moments, settings = optimizer_tensors(self.module, self.optimizer)
        return Content(
            {WEIGHTS + name: tensor for name, tensor in weights.items()} | moments,
            {
                "step": step,
                "fingerprint": self.identity.fingerprint,
                "optimizer": settings,
                "random": capture_random(self.device).to_json(),
                "metrics_bytes": metrics_bytes,
                "evaluations_due": evaluations_due,
                "circumstances": self._circumstances(),
            },
        )

    def restore(self, checkpoint: Checkpoint) -> Restored:
        """Raises TrainingFault: M3I0708 for the state of another program, M3I0702 when it does not fit the module."""
        plain, saved = checkpoint.plain(), checkpoint.table()
        if plain["fingerprint"] != self.identity.fingerprint:
            raise TrainingFault(
                OTHER_RECIPE,
                f"checkpoint `{checkpoint.path}` is that of another program",
                helps=("start a new run: a changed recipe cannot continue from it",),
            )
        try:
            weights = {WEIGHTS + name: tensor for name, tensor in module_tensors(self.module)[0].items()}
            moments = {name: description for name, description in saved.items() if not name.startswith(WEIGHTS)}
            require_same(weights, {name: saved[name] for name in saved if name not in moments})
            places = optimizer_places(self.module, self.optimizer, plain["optimizer"], moments)
            checkpoint.read(weights | places)
            restore_optimizer(self.module, self.optimizer, plain["optimizer"], places)
        except (RuntimeError, ValueError, KeyError) as problem:
            raise checkpoint.does_not_fit(problem) from problem
        restore_random(RandomState.from_json(plain["random"]), self.device)
        then, now = plain["circumstances"], self._circumstances()
        remarks = tuple(
            f"{name} was {then.get(name)} and is {value}: training continues, but not bit for bit"
            for name, value in now.items()
            if then.get(name, value) != value
        )
        return Restored(plain["step"], plain["metrics_bytes"], plain["evaluations_due"], remarks)

    def _circumstances(self) -> dict[str, str]:
        """What the bits depend on besides the recipe."""
        return {
            "torch": torch.__version__,
            "device": self.device.type,
            "processes": str(world().size),
            "precision": self.precision.effective,
            "threads": str(torch.get_num_threads()) if self.device.type == "cpu" else "any",
        } | dict(self.kernels)
