"""What is different between two recipes, in the terms of a recipe.

Takes: two canonical recipes and their plans. Gives: one `PlanDifference` for each word, target, encoder, count and size
that changed. Guarantees: comments, layout, order of settings and names of parameters make no difference, for canonical
recipes have none; times are not compared, for they follow from what is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from m3i_dsl.artifact.difference import changed_lines
from m3i_dsl.plan.schema import Model, Plan

ChangeKind = Literal["words", "targets", "encoders", "parameters", "FLOPs a sample", "bytes of a device", "training"]
Cell = str | int


class PlanDifference(Model):
    """What changed in `where`; None before or after for what is new or gone. `ratio` is after / before of numbers."""

    kind: ChangeKind
    where: str
    before: str | None
    after: str | None
    ratio: float | None = None


def differences(old_recipe: str, old: Plan, new_recipe: str, new: Plan) -> tuple[PlanDifference, ...]:
    """Everything that changed from `old` to `new`, words first."""
    return (
        *(
            PlanDifference(kind="words", where=line.where, before=line.before, after=line.after)
            for line in changed_lines(old_recipe, new_recipe)
        ),
        *_named("targets", _targets(old), _targets(new)),
        *_named("encoders", _encoders(old), _encoders(new)),
        *_named("parameters", _parameters(old), _parameters(new)),
        *_named("FLOPs a sample", _flops(old), _flops(new)),
        *_named("bytes of a device", _memory(old), _memory(new)),
        *_named("training", _training(old), _training(new)),
    )


def _named(kind: ChangeKind, old: Mapping[str, Cell], new: Mapping[str, Cell]) -> Iterator[PlanDifference]:
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before != after:
            ratio = after / before if isinstance(before, int) and isinstance(after, int) and before else None
            yield PlanDifference(kind=kind, where=name, before=_text(before), after=_text(after), ratio=ratio)


def _text(cell: Cell | None) -> str | None:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _targets(plan: Plan) -> dict[str, Cell]:
    """Each cell of each row, by `objective.target: column`."""
    return {
        f"{target.name}: {column.replace('_', ' ')}": f"{cell:g}" if isinstance(cell, float) else str(cell)
        for target in plan.targets
        for column, cell in target.model_dump(exclude={"name"}).items()
    }


def _encoders(plan: Plan) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for encoder in plan.encoders:
        found[f"{encoder.name}: moves"] = encoder.moves
        found[f"{encoder.name}: parameters"] = encoder.parameters
        found[f"{encoder.name}: calls a step"] = encoder.calls_after
        found[f"{encoder.name}: FLOPs a sample"] = encoder.forward + encoder.backward
    return found


def _parameters(plan: Plan) -> dict[str, Cell]:
    return {name: int(count) for name, count in plan.parameters.model_dump().items()}


def _flops(plan: Plan) -> dict[str, Cell]:
    return {"forward": plan.flops.forward, "forward and backward": plan.flops.total}


def _memory(plan: Plan) -> dict[str, Cell]:
    return {"activations": plan.memory.activations, "optimizer": plan.memory.optimizer}


def _training(plan: Plan) -> dict[str, Cell]:
    return {"batch": plan.batch, "precision": plan.precision}
