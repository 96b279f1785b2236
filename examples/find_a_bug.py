"""A change of the graph with a bug in it, the property that fails, and the smallest recipe that shows it.

`one_mask` looks like a harmless saving: a step draws several masks of one shape, so why not always encode with the
first of them? It is right for most recipes, among them all of `recipes/`. It is wrong as soon as two views are masked:
the second is encoded with the mask of the first, and its representation sees what its own mask hides.

    python examples/find_a_bug.py

draws objectives until the property `leak` fails, shrinks what it found, and prints it. Needs `m3ic[testing]`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from random import Random

from hypothesis import find, settings

from m3i_dsl.driver import check_file
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.inputs import MaskInput
from m3i_dsl.source import SourceFile
from m3i_dsl.testing import Outcome, check_properties
from m3i_dsl.testing.run import chosen
from m3i_dsl.testing.strategies import objectives


def one_mask(graph: Graph) -> Graph:
    """Every encoder call (`concat` joins the batches of two) reads the first mask of its shape."""
    first = {}
    for input_ in graph.inputs:
        if isinstance(input_.source, MaskInput):
            first.setdefault(input_.value.type, input_.value)
    masks = {i.value.name: first[i.value.type] for i in graph.inputs if isinstance(i.source, MaskInput)}
    equations = [
        replace(e, arguments=tuple(masks.get(a.name, a) if a else None for a in e.arguments))
        if e.operation in ("encode", "concat")
        else e
        for e in graph.equations
    ]
    return replace(graph, equations=tuple(equations))


@functools.cache
def leak(recipe: str) -> Outcome:
    """What the property says of a recipe after the change; many of the draws while shrinking are the same recipe."""
    program = check_file(SourceFile("drawn.m3i", recipe)).required()
    return next(check_properties(program, chosen(only=["leak"]), edit=one_mask))


if __name__ == "__main__":
    smallest = find(
        objectives(),
        lambda objective: "masked" in objective.text and leak(objective.recipe()).status == "failed",
        settings=settings(max_examples=200, database=None, deadline=None),
        random=Random(0),
    )
    outcome = leak(smallest.recipe())
    print(smallest.recipe())
    print(f"{outcome.name} {outcome.status} at {outcome.place}: {outcome.message}")
