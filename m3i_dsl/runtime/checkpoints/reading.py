"""A verified checkpoint, read.

Takes: its folder and tensors to read into, whole or sharded. Gives: those tensors, filled. Guarantees: every process
reads the parts that it holds and no others, whatever processes wrote them; nothing is unpickled, for tensors and their
layout are in safetensors files and all else is JSON; what does not fit is refused before anything is changed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict_loader import load

from m3i_dsl.runtime.checkpoints.content import Json
from m3i_dsl.runtime.checkpoints.folder import STATE, SUFFIX
from m3i_dsl.runtime.checkpoints.named import WEIGHTS, module_tensors, require_same
from m3i_dsl.runtime.faults import DAMAGED_CHECKPOINT, TrainingFault, lacks_descriptors, no_descriptors


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint: `step` completed steps, its folder."""

    step: int
    path: Path

    def plain(self) -> Json:
        """What is no tensor."""
        return self._state()["plain"]

    def table(self) -> dict[str, str]:
        """dtype and shape of every tensor: `float32[8, 6]`."""
        return self._state()["tensors"]

    def read(self, places: Mapping[str, Tensor]) -> None:
        """Fills `places` with the tensors of their names, in place.

        Every process reads by itself, without communication. Raises ValueError when one is not in the checkpoint or is
        of another dtype or shape, TrainingFault (M3I0702) when no file can be opened.
        """
        saved = self.table()
        require_same(places, {name: saved[name] for name in places if name in saved})
        alone_is_meant()
        self._openable()
        try:
            with torch.no_grad():
                load(
                    dict(places),
                    storage_reader=HuggingFaceStorageReader(str(self.path)),
                    planner=DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
                    no_dist=True,
                )
        except CheckpointException as problem:
            cause = next(iter(problem.failures.values()))[0]
            raise ValueError(str(cause)) from cause

    def read_weights(self, module: nn.Module) -> None:
        """Gives the module the weights, averages and buffers of the checkpoint.

        Raises TrainingFault (M3I0702) when they do not fit it.
        """
        weights, _ = module_tensors(module)
        places = {WEIGHTS + name: tensor for name, tensor in weights.items()}
        saved = {name: description for name, description in self.table().items() if name.startswith(WEIGHTS)}
        try:
            require_same(places, saved)
            self.read(places)
        except ValueError as problem:
            raise self.does_not_fit(problem) from problem

    def _openable(self) -> None:
        """DCP would print a traceback, and call what it cannot open unfit."""
        for file in self.path.glob(f"*{SUFFIX}"):
            try:
                with file.open("rb"), file.open("rb"):  # as safetensors does
                    pass
            except OSError as problem:
                if lacks_descriptors(problem):
                    raise no_descriptors(self.path) from problem
                raise ValueError(f"`{file.name}` cannot be read: {problem.strerror}") from problem

    def does_not_fit(self, problem: Exception) -> TrainingFault:
        return TrainingFault(
            DAMAGED_CHECKPOINT,
            f"checkpoint `{self.path}` does not fit the recipe's module",
            notes=(str(problem).replace("\n", " "),),
            helps=("resume with the versions of m3ic, torch and timm that wrote it (see `run.json`)",),
        )

    def _state(self) -> Any:
        return json.loads((self.path / STATE).read_text(encoding="utf-8"))


def alone_is_meant() -> None:
    """DCP warns of a process that reads or writes by itself, in case it was not meant; here it is."""
    warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
