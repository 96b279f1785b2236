"""Only the tokens that are compared are computed.

Takes: any graph. Gives: a graph in which the choice of tokens (`patches`, `gather`) comes before what treats each token
by itself (heads, projectors, normalisation), and decoders compute the last block for the wanted positions only.
Guarantees: nothing that looks at other samples, draws random numbers or keeps statistics is moved; a value that others
read in full stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from m3i_dsl.ir.effects import module_of, treats_samples_alone
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import readers, rebuilt, retyped
from m3i_dsl.vocabulary.kinds import Predictor

CHOICES = ("patches", "gather")
HEADS = ("predict", "project")


def needed_tokens(graph: Graph, batch: int = 0) -> Graph:
    """Moves choices up until none can move, then trims decoders."""
    while (moved := _move_one(graph)) is not None:
        graph = moved
    return rebuilt(graph, (_trimmed(equation, graph) for equation in graph.equations))


def _move_one(graph: Graph) -> Graph | None:
    counts = readers(graph)
    made = {value.name: (place, e) for place, e in enumerate(graph.equations) for value in e.results}
    for place, choice in enumerate(graph.equations):
        source = choice.arguments[0] if choice.operation in CHOICES else None
        if source is None or source.name not in made or counts[source.name] > 1:
            continue
        before, worker = made[source.name]
        if not _works_per_token(worker, graph):
            continue
        equations = [*graph.equations[:before], *graph.equations[before + 1 : place], *_swapped(worker, choice, graph)]
        return rebuilt(graph, (*equations, *graph.equations[place + 1 :]))
    return None


def _swapped(worker: Equation, choice: Equation, graph: Graph) -> tuple[Equation, Equation]:
    """The choice on what the worker reads, then the worker on what was chosen."""
    features = worker.arguments[0]
    assert features is not None
    first = retyped(replace(choice, arguments=(features, *choice.arguments[1:]), results=worker.results), graph)
    chosen = Value(worker.results[0].name, first.results[0].type)
    second = replace(worker, arguments=(chosen, *worker.arguments[1:]), results=choice.results)
    return first, retyped(second, graph)


def _works_per_token(equation: Equation, graph: Graph) -> bool:
    """Whether each token's result is a function of that token only (a projector of blocks attends to others)."""
    if not treats_samples_alone(equation, graph):
        return False
    if equation.operation == "normalize":
        return True
    module = module_of(equation, graph)
    return equation.operation in HEADS and module is not None and module.as_a(Predictor).per_token


def _trimmed(equation: Equation, graph: Graph) -> Equation:
    if equation.operation != "predict_at":
        return equation
    word = graph.module("predictors", str(equation.attribute("module"))).as_a(Predictor)
    return equation.with_attribute("needed", word.trims())


PASS = Pass(
    "needed-tokens",
    "reassociating",
    "heads see the compared tokens only, and decoders end with the wanted positions only",
    needed_tokens,
)
