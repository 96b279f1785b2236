"""Several targets: the graph after the passes beside the graph before them, and beside sharing by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.speed.agreement import copy_weights, same_loss, same_parameters
from benchmarks.speed.cases.case import Context
from benchmarks.speed.compiled import (
    CompiledStep,
    Recipe,
    compile_recipe,
    recipe_text,
    trained_parameters,
)
from benchmarks.speed.handwritten import HANDWRITTEN
from benchmarks.speed.handwritten.model import Handwritten, HandwrittenStep
from benchmarks.speed.handwritten.targets import Targets
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.targets import targets_text
from m3i_dsl.lower.executable import Executable
from m3i_dsl.testing.batches import named_batch

FUSED = {2: 1.9, 4: 3.4}
"""How many times as fast as the naive graph K targets are to be."""

BY_HAND = 1.05
MARGINAL = 0.10


def calls(executable: Executable) -> int:
    """Encoder calls in a step."""
    nodes = executable.module.graph.nodes
    return sum(node.op == "call_module" and str(node.target).startswith("encoders.") for node in nodes)


def fused_and_naive(name: str, recipe: Recipe, model: Handwritten, context: Context) -> Outcome:
    """The three sides of one recipe. Raises Disagreement before anything is timed."""
    fused, naive = CompiledStep(recipe.executable, recipe.batch), recipe.naive()
    plain = CompiledStep(naive, recipe.batch)
    by_hand = HandwrittenStep(model, named_batch(recipe.executable, recipe.batch))
    copy_weights(model, fused.module)
    for side, module in (("naive", plain.module), ("hand-written", model)):
        same_parameters(side, trained_parameters(module), trained_parameters(fused.module))
    first = fused()
    same_loss("naive", plain(), first)
    same_loss("hand-written", by_hand(), first)
    times = context.timed({"fused": fused, "naive": plain, "hand-written": by_hand})
    extra = {"fused": {"encoder calls": str(calls(recipe.executable))}, "naive": {"encoder calls": str(calls(naive))}}
    return Outcome(name, "fused", times, extra)


def same_view(count: int, context: Context) -> Outcome:
    """`count` targets that all share one input and one averaged view."""
    recipe = compile_recipe(targets_text(count), context.size)
    hidden = int(named_batch(recipe.executable, recipe.batch)["hidden"][0].sum())
    outcome = fused_and_naive(f"targets_{count}", recipe, Targets(context.size, hidden, count=count), context)
    targets = [Target(f"{count} targets: time over sharing by hand", BY_HAND, "at most", _over_hand(outcome))]
    if count in FUSED:
        targets.append(Target(f"{count} targets: fused over naive", FUSED[count], "at least", outcome.faster("naive")))
    return Outcome(outcome.name, "fused", outcome.times, outcome.extra, targets)


def m3i(context: Context) -> Outcome:
    """The paper's method: the second image's target is in another view, so its average must be computed anyway."""
    recipe = compile_recipe(recipe_text("m3i"), context.size)
    hidden = int(named_batch(recipe.executable, recipe.batch)["hidden"][0].sum())
    outcome = fused_and_naive("m3i_sharing", recipe, HANDWRITTEN["m3i"](context.size, hidden), context)
    naive, fused = (int(outcome.extra[side]["encoder calls"]) for side in ("naive", "fused"))
    notes = (
        f"M3I has {naive} encoder calls before the passes and {fused} after. The input is shared by all targets; the "
        "averages of `intra` and `inter` are in different views and share nothing, and the category needs no average, "
        "so less is saved than with targets in one view. Nor is an encoding shared between two masks of a view, or "
        "between two resolutions: its tokens differ.",
    )
    target = Target("m3i: time over sharing by hand", BY_HAND, "at most", _over_hand(outcome))
    return Outcome(outcome.name, "fused", outcome.times, outcome.extra, (target,), notes)


def marginal(context: Context) -> Outcome:
    """What the second, third and fourth target add to a step."""
    steps: dict[str, Callable[[], object]] = {}
    for count in (1, 2, 3, 4):
        recipe = compile_recipe(targets_text(count), context.size)
        steps[f"{count} target{'s' if count > 1 else ''}"] = CompiledStep(recipe.executable, recipe.batch)
    times = context.timed(steps)
    one, four = times["1 target"].minimum, times["4 targets"].minimum
    target = Target("one more target: share of a step that it adds", MARGINAL, "at most", (four / one - 1) / 3)
    return Outcome("marginal", "1 target", times, targets=(target,))


def _over_hand(outcome: Outcome) -> float:
    return 1 / outcome.faster("hand-written")


CASES: Mapping[str, Callable[[Context], Outcome]] = {
    "m3i_sharing": m3i,
    **{f"targets_{count}": partial(same_view, count) for count in (1, 2, 4)},
    "marginal": marginal,
}
