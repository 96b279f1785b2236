"""A change of the graph with a bug in it, the property that fails, and the smallest recipe that shows it.

`one_mask` looks like a harmless saving: a step draws several masks of one shape, so why not always encode with the
first of them? It is right for most recipes, among them all of `recipes/`. It is wrong as soon as two views are masked:
the second is encoded with the mask of the first, and its representation sees what its own mask hides.

    python examples/find_a_bug.py

draws variations of one objective, with any mask and any views, until the property `leak` fails, shrinks what it found,
and prints it. (`m3i_dsl.testing.strategies.recipes` draws from the whole vocabulary.) Needs `m3ic[testing]`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from random import Random

import torch
from hypothesis import find, settings
from hypothesis import strategies as st

from m3i_dsl.driver import check_file
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.inputs import MaskInput
from m3i_dsl.source import SourceFile
from m3i_dsl.testing import Outcome, check_properties
from m3i_dsl.testing.run import chosen
from m3i_dsl.testing.strategies import masks, views

RECIPE = """m3i 1
recipe drawn

data digits = embedded("digits")
view view1 of digits.image = {view1}
view view2 of digits.image = {view2}
encoder image   = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3)
encoder average = ema of image

objective drawn {{
  input     {shown}
  represent dense feature of image
  target other {{
    data           view2
    representation global feature of average
    predictor      {predictor}
    regularization stop gradient
    distribution   gaussian
  }}
  symmetric {symmetric}
}}

train {{
  batch     64
  epochs    1
  optimizer adamw(lr: 1e-3)
}}
"""


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


@st.composite
def variations(draw: st.DrawFn) -> str:
    """The recipe with some views, a mask or none, a predictor, in one direction or both."""
    return RECIPE.format(
        view1=draw(views(32)),
        view2=draw(views(32)),
        shown=f"masked view1 by {draw(masks())}" if draw(st.booleans()) else "view1",
        predictor=draw(st.sampled_from(("mlp", "linear", "mlp(layers: 3, norm: batch)"))),
        symmetric="true" if draw(st.booleans()) else "false",
    )


@functools.cache
def leak(recipe: str) -> Outcome:
    """What the property says of a recipe, after the change."""
    program = check_file(SourceFile("drawn.m3i", recipe)).required()
    return next(check_properties(program, chosen(only=["leak"]), edit=one_mask))


if __name__ == "__main__":
    torch.set_num_threads(1)  # the tensors are small
    smallest = find(
        variations(),
        lambda recipe: leak(recipe).status == "failed",
        settings=settings(max_examples=100, database=None, deadline=None),
        random=Random(0),
    )
    outcome = leak(smallest)
    print(smallest)
    print(f"{outcome.name} {outcome.status} at {outcome.place}: {outcome.message}")
