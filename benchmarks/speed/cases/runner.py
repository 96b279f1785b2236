"""What `m3ic train` does in a step beyond the least that trains the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks.speed.agreement import same_loss
from benchmarks.speed.cases.case import Context
from benchmarks.speed.compiled import CompiledStep, compile_recipe, recipe_text
from benchmarks.speed.outcome import Outcome, Target
from m3i_dsl.runtime.checkpoints.snapshot import Snapshot
from m3i_dsl.runtime.checkpoints.staging import Staging
from m3i_dsl.runtime.checkpoints.writing import require_finite
from m3i_dsl.runtime.run_folder import RunIdentity

SAVED_EVERY = 50
"""Steps between saves. An epoch is saved at most each 20 s, which are more steps than these of one this size."""


def overhead(context: Context) -> Outcome:
    """M3I: guard, gradient norm, schedule and averages, beside forward, backward, optimizer and averages."""
    sides: dict[str, Callable[[], object]] = {}
    steps = [
        CompiledStep(recipe.executable, recipe.batch)
        for recipe in (compile_recipe(recipe_text("m3i"), context.size) for _ in range(2))
    ]
    same_loss("bare loop", steps[1].bare(), steps[0]())
    sides["runner"], sides["bare loop"] = steps[0], steps[1].bare
    outcome = Outcome("runner", "runner", context.timed(sides, factor=1.5))
    target = Target("runner: time over a bare loop", 1.05, "at most", 1 / outcome.faster("bare loop"))
    return Outcome("runner", "runner", outcome.times, targets=(target,))


def finite(context: Context) -> Outcome:
    """What a save looks at, beside a step of M3I: all weights, averages and moments, each once."""
    recipe = compile_recipe(recipe_text("m3i"), context.size)
    step = CompiledStep(recipe.executable, recipe.batch)
    step()  # moments are there after it
    identity = RunIdentity("m3i", "", {})
    snapshot = Snapshot(step.module, step.optimizer, identity, torch.device("cpu"), step.precision)
    staged = Staging(0, 1).stage(snapshot.files(1, metrics_bytes=0, evaluations_due=False).tensors)
    sides: dict[str, Callable[[], object]] = {
        "step": step,
        "finite check of a save": lambda: require_finite(1, staged, Path()),
    }
    times = context.timed(sides)
    share = times["finite check of a save"].minimum / (SAVED_EVERY * times["step"].minimum)
    target = Target(f"finite check of a save: share of {SAVED_EVERY} steps", 0.01, "at most", share)
    numbers = sum(tensor.numel() for tensor in staged.host.values())
    note = f"{numbers:,} numbers, looked at in the thread that writes them"
    return Outcome("finite", "step", times, targets=(target,), notes=(note,))


CASES: Mapping[str, Callable[[Context], Outcome]] = {"runner": overhead, "finite": finite}
