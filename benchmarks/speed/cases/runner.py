"""What `m3ic train` does in a step beyond the least that trains the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.speed.agreement import same_loss
from benchmarks.speed.cases.case import Context
from benchmarks.speed.compiled import CompiledStep, compile_recipe, recipe_text
from benchmarks.speed.outcome import Outcome, Target


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


CASES: Mapping[str, Callable[[Context], Outcome]] = {"runner": overhead}
