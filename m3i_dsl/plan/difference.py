"""What is different between two recipes, in the terms of a recipe.

Takes: two canonical recipes and their plans. Gives: one `Difference` for each word, target, encoder, count and size
that changed. Guarantees: comments, layout, order of settings and names of parameters make no difference, for canonical
recipes have none; times are not compared, for they follow from what is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from m3i_dsl.plan.schema import Model, Plan


class Difference(Model):
    """`what` changed in `where`; None before or after for what is new or gone."""

    kind: Literal["text", "target", "encoder", "parameters", "flops", "memory", "training"]
    where: str
    before: str | None
    after: str | None


def differences(old_recipe: str, old: Plan, new_recipe: str, new: Plan) -> tuple[Difference, ...]:
    """Everything that changed from `old` to `new`, words first."""
    return (
        *_words(old_recipe, new_recipe),
        *_named("target", _targets(old), _targets(new)),
        *_named("encoder", _encoders(old), _encoders(new)),
        *_named("parameters", _parameters(old), _parameters(new)),
        *_named("flops", _flops(old), _flops(new)),
        *_named("memory", _memory(old), _memory(new)),
        *_named("training", _training(old), _training(new)),
    )


def _words(old: str, new: str) -> Iterator[Difference]:
    """Lines of the canonical text, each with the blocks that it stands in."""
    before, after = list(_lines(old)), list(_lines(new))
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, come = before[i:j], after[k:m]
        for index in range(max(len(gone), len(come))):
            old_line = gone[index] if index < len(gone) else None
            new_line = come[index] if index < len(come) else None
            if old_line is not None and new_line is not None and old_line[0] != new_line[0]:
                yield Difference(kind="text", where=old_line[0], before=old_line[1], after=None)
                yield Difference(kind="text", where=new_line[0], before=None, after=new_line[1])
                continue
            where = (old_line or new_line or ("", ""))[0]
            before_text, after_text = old_line and old_line[1], new_line and new_line[1]
            yield Difference(kind="text", where=where, before=before_text, after=after_text)


def _lines(recipe: str) -> Iterator[tuple[str, str]]:
    """(the blocks around it, a line without its indentation and alignment) of each line with words."""
    blocks: list[str] = []
    for line in recipe.splitlines():
        text = re.sub(r"\s+", " ", line.partition("#")[0]).strip()
        if not text:
            continue
        if text == "}":
            blocks.pop()
            continue
        yield " > ".join(blocks) or "recipe", text.removesuffix("{").strip()
        if text.endswith("{"):
            blocks.append(text.removesuffix("{").strip())


def _named(
    kind: Literal["target", "encoder", "parameters", "flops", "memory", "training"],
    old: Mapping[str, str],
    new: Mapping[str, str],
) -> Iterator[Difference]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield Difference(kind=kind, where=name, before=old.get(name), after=new.get(name))


def _targets(plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    for target in plan.targets:
        cells = target.model_dump(exclude={"name", "weight"})
        weight = f"{target.weight:g} x " if target.weight != 1 else ""
        found[target.name] = weight + " | ".join(str(cell) for cell in cells.values())
    return found


def _encoders(plan: Plan) -> dict[str, str]:
    return {e.name: f"{e.moves}, {e.parameters:,} parameters, {e.calls_after} calls a step" for e in plan.encoders}


def _parameters(plan: Plan) -> dict[str, str]:
    return _numbers(plan.parameters.model_dump().items(), "scalars")


def _flops(plan: Plan) -> dict[str, str]:
    flops = plan.flops
    return _numbers((("forward", flops.forward), ("forward and backward", flops.total)), "FLOP a sample")


def _memory(plan: Plan) -> dict[str, str]:
    parts = {"activations": plan.memory.activations, "optimizer": plan.memory.optimizer}
    return _numbers(parts.items(), "bytes a device")


def _training(plan: Plan) -> dict[str, str]:
    return {"batch": str(plan.batch), "precision": plan.precision}


def _numbers(items: Iterable[tuple[str, int]], unit: str) -> dict[str, str]:
    return {name: f"{number:,} {unit}" for name, number in items}
