"""Calls of one encoder on images of several sizes become one call on packed tokens.

Takes: any graph, and the batch. Gives: a graph in which an encoder sees, say, 2 B global crops and 8 B local ones in
one call: linear layers work on all tokens in one product, attention runs for each size by itself, and nothing is
padded. Guarantees: only whole views, only encoders that treat each sample alone; only below a size at which one packed
call was measured to be faster than one call for each size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.effects import treats_samples_alone
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.passes.joining import needed_before
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import rebuilt, retyped
from m3i_dsl.vocabulary.kinds import Encoder, image_encoder

LARGEST_PACKED = 1000
"""Tokens of all sizes together up to which packing pays: forward and backward of a ViT on two global and eight local
crops took 1.03 to 1.14 times as long in a call for each size as in one packed call up to here, and 0.98 to 1.02 times
above (docs/passes.md; benchmarks/speed, `multi_crop`). What packing saves is the overhead of a second call; what it
costs is a copy of every token before and after attention."""


def packed_calls(graph: Graph, batch: int) -> Graph:
    """Packs each group of calls at the place of its first call."""
    groups: dict[str, list[Equation]] = defaultdict(list)
    for equation in graph.equations:
        if _packs(equation, graph):
            groups[str(equation.attribute("module"))].append(equation)
    for calls in groups.values():
        graph = _packed(graph, calls, batch) or graph
    return rebuilt(graph, graph.equations)


def _packs(equation: Equation, graph: Graph) -> bool:
    """Whether a call is of whole views, and of an encoder that can pack."""
    if equation.operation != "encode" or not treats_samples_alone(equation, graph):
        return False
    whole = all(argument is None for argument in equation.arguments[1:]) and not equation.attribute("taps")
    word = graph.module("encoders", str(equation.attribute("module"))).as_a(Encoder)
    return whole and image_encoder(word).packs()


def _packed(graph: Graph, calls: Sequence[Equation], batch: int) -> Graph | None:
    """The graph with one call for `calls`; None when it would not pay or a later call waits for the first."""
    sizes = {call.results[0].type.dimensions[1] for call in calls}
    if len(sizes) < 2 or sum(_tokens(call, batch) for call in calls) > LARGEST_PACKED:
        return None
    first = graph.equations.index(calls[0])
    ahead = needed_before(graph, tuple(calls), first)
    if ahead is None:
        return None
    images: list[Value | None] = [call.arguments[0] for call in calls]
    results = tuple(call.results[0] for call in calls)
    module = (("module", calls[0].attribute("module")),)
    packed = retyped(Equation(results, "encode_packed", tuple(images), module, calls[0].place), graph)
    skipped = {id(equation) for equation in (*calls, *ahead)}
    rest = [equation for equation in graph.equations[first:] if id(equation) not in skipped]
    return replace(graph, equations=(*graph.equations[:first], *ahead, packed, *rest))


def _tokens(call: Equation, batch: int) -> int:
    rows, length = call.results[0].type.dimensions[:2]
    batches = batches_in(rows)
    assert batches is not None, "an encoder's result is a batch"
    return int(batches * batch) * int(length)


PASS = Pass(
    "packed-calls",
    "reassociating",
    "small calls of one encoder on several sizes are one call on packed tokens",
    packed_calls,
)
