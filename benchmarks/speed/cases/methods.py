"""Whole training steps: a compiled recipe beside the same method by hand and in other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.speed.agreement import PARAMETERS, copy_weights, same_loss, same_parameters
from benchmarks.speed.cases.case import Context
from benchmarks.speed.compiled import CompiledStep, compile_recipe, recipe_text, trained_parameters
from benchmarks.speed.handwritten import HANDWRITTEN
from benchmarks.speed.handwritten.model import HandwrittenStep
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.peers import peers_of
from m3i_dsl.testing.batches import named_batch

SLOWER = 1.05
"""How much longer than the fastest other side a step may take."""

HF = "Hugging Face ViTMAE"
LIGHTLY = "lightly"


def method(name: str, context: Context) -> Outcome:
    """One recipe. Raises Disagreement before anything is timed."""
    recipe = compile_recipe(recipe_text(name), context.size)
    batch = named_batch(recipe.executable, recipe.batch)
    hidden = int(batch["hidden"][0].sum()) if "hidden" in batch else 0
    ours = CompiledStep(recipe.executable, recipe.batch)
    parameters = {"m3ic": trained_parameters(ours.module)}
    steps: dict[str, Callable[[], object]] = {"m3ic": ours}

    by_hand = HandwrittenStep(HANDWRITTEN[name](context.size, hidden), batch)
    copy_weights(by_hand.model, ours.module)
    parameters["hand-written"] = trained_parameters(by_hand.model)
    same_parameters("hand-written", parameters["hand-written"], parameters["m3ic"])
    steps["hand-written"] = by_hand

    first = ours()
    same_loss("hand-written", by_hand(), first)

    notes: list[str] = []
    for peer in peers_of(name) if context.peers else ():
        try:
            step = HandwrittenStep(peer.build(context.size, hidden), batch)
            count = trained_parameters(step.model)
            same_parameters(peer.name, count, parameters["m3ic"], PARAMETERS)
            step()
        except Exception as problem:  # code of others: what it raises, and whether it agrees, is not in our hands
            notes.append(f"{peer.name} is left out: {type(problem).__name__}: {problem}".splitlines()[0])
            continue
        parameters[peer.name] = count
        steps[peer.name] = step
    if len(steps) > 2:
        notes.append("Of other libraries the parameters were counted; their weights and first losses are their own.")

    times = context.timed(steps)
    outcome = Outcome(
        name,
        "m3ic",
        times,
        {side: {"trained parameters": f"{count:,}"} for side, count in parameters.items()},
        notes=notes,
    )
    return Outcome(name, "m3ic", times, outcome.extra, _targets(name, outcome), notes)


def _targets(name: str, outcome: Outcome) -> list[Target]:
    others = [side for side in outcome.times if side != "m3ic"]
    fastest = min(others, key=lambda side: outcome.times[side].minimum)
    slower = 1 / outcome.faster(fastest)
    targets = [
        Target(f"{name}: time of a step over that of the fastest other side", SLOWER, "at most", slower, fastest)
    ]
    if name == "mae":
        for peer, limit in ((HF, 1.05), (LIGHTLY, 1.0 / SLOWER)):
            value = outcome.faster(peer) if peer in outcome.times else None
            note = "" if value is not None else "not installed: run with --peers"
            targets.append(Target(f"mae: speed over {peer}", round(limit, 3), "at least", value, note))
    return targets


CASES: Mapping[str, Callable[[Context], Outcome]] = {name: partial(method, name) for name in HANDWRITTEN}
