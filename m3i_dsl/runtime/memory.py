"""A step that does not fit the memory of the device.

Takes: what a step raised. Gives: the fault that names the settings to change, or nothing for another problem.
"""

from __future__ import annotations

import torch

from m3i_dsl.runtime.faults import OUT_OF_MEMORY, TrainingFault

_OF_A_CPU = "DefaultCPUAllocator"
"""What torch's text names when the system has no more memory: there it raises a plain RuntimeError."""


def out_of_memory(problem: RuntimeError | MemoryError, step: int) -> TrainingFault | None:
    """M3I0714 for `step`, counted from 1."""
    lacks = isinstance(problem, torch.OutOfMemoryError | MemoryError) or _OF_A_CPU in str(problem)
    if not lacks:
        return None
    told = str(problem).split("\n")[0]
    return TrainingFault(
        OUT_OF_MEMORY,
        f"step {step} does not fit the memory of the device",
        notes=(told,) if told else (),
        helps=(
            "compute activations again with `--recompute blocks`, or cut the batch with `--accumulate 2`",
            "with several processes, keep weights and moments in shards with `--shard fsdp`",
            "lower `batch` in the recipe, which changes the result",
        ),
    )
