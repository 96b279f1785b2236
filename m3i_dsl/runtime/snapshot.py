"""Everything that a checkpoint holds.

Takes: the parts of a run between two steps. Gives: the files of a checkpoint, and puts them back. Guarantees: on the
same machine, with the same number of threads on a CPU, what was put back trains on with the same bits.

    weights.safetensors     the module's state dict: weights, averages, buffers
    optimizer.safetensors   moments; optimizer.json: groups and other values
    state.json              step, random numbers, length of metrics.jsonl, versions, fingerprint
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from m3i_dsl.runtime.checkpoint import Checkpoint
from m3i_dsl.runtime.faults import DAMAGED_CHECKPOINT, OTHER_RECIPE, TrainingFault
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.run_folder import Identity
from m3i_dsl.runtime.state import (
    RandomState,
    capture_random,
    load_module,
    load_optimizer,
    module_tensors,
    optimizer_tensors,
    restore_random,
)

_SCHEMA = 1


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
    identity: Identity
    device: torch.device
    precision: Precision

    def files(self, step: int, *, metrics_bytes: int, evaluations_due: bool) -> dict[str, Any]:
        """The files of a checkpoint after `step` completed steps."""
        weights, aliases = module_tensors(self.module)
        moments, plain = optimizer_tensors(self.optimizer)
        return {
            "weights.safetensors": weights,
            "optimizer.safetensors": moments,
            "optimizer.json": plain,
            "state.json": {
                "schema": _SCHEMA,
                "step": step,
                "fingerprint": self.identity.fingerprint,
                "aliases": aliases,
                "random": capture_random(self.device).to_json(),
                "metrics_bytes": metrics_bytes,
                "evaluations_due": evaluations_due,
                "circumstances": self._circumstances(),
            },
        }

    def restore(self, checkpoint: Checkpoint) -> Restored:
        """Raises TrainingFault: M3I0708 for the state of another program, M3I0702 when it does not fit the module."""
        state = checkpoint.json("state.json")
        if state["fingerprint"] != self.identity.fingerprint:
            raise TrainingFault(
                OTHER_RECIPE,
                f"checkpoint `{checkpoint.path}` is that of another program",
                helps=("start a new run: a changed recipe cannot continue from it",),
            )
        try:
            load_module(self.module, checkpoint.tensors("weights.safetensors"), state["aliases"])
            load_optimizer(
                self.optimizer, checkpoint.tensors("optimizer.safetensors"), checkpoint.json("optimizer.json")
            )
        except (RuntimeError, ValueError, KeyError) as problem:
            raise TrainingFault(
                DAMAGED_CHECKPOINT,
                f"checkpoint `{checkpoint.path}` does not fit the recipe's module",
                notes=(str(problem).replace("\n", " "),),
                helps=("resume with the versions of m3ic, torch and timm that wrote it (see `run.json`)",),
            ) from problem
        restore_random(RandomState.from_json(state["random"]), self.device)
        then, now = state["circumstances"], self._circumstances()
        remarks = tuple(
            f"{name} was {then.get(name)} and is {value}: training continues, but not bit for bit"
            for name, value in now.items()
            if then.get(name) != value
        )
        return Restored(state["step"], state["metrics_bytes"], state["evaluations_due"], remarks)

    def _circumstances(self) -> dict[str, str]:
        """What the bits depend on besides the recipe."""
        return {
            "torch": torch.__version__,
            "device": self.device.type,
            "precision": self.precision.effective,
            "threads": str(torch.get_num_threads()) if self.device.type == "cpu" else "any",
        }
