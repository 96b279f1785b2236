"""Targets of texts as evaluation asks for them: images and texts by themselves, without mask and mix.

Takes: a `Program`. Gives: for each target that reads texts two small graphs, from a view to the prediction and from
token ids to the target, as they are compared in training. Guarantees: written by the builder of the step, over the
modules of the step: `to_fx(path.images, executable.module)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.build_target import TargetBuilder
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.trace import Trace, place_of
from m3i_dsl.semantics.program import InputReference, Objective, Program, Target
from m3i_dsl.vocabulary.kinds import TEXTS


@dataclass(frozen=True, slots=True)
class TextPath:
    """One target that reads texts. `images` takes a view and yields `prediction` [B, E]; `texts` takes token ids [B, T]
    and yields `target` [B, E].
    """

    objective: Objective
    target: Target
    images: Graph
    texts: Graph


def build_evaluation(program: Program) -> tuple[TextPath, ...]:
    """The paths of all targets that read texts, in the order of the recipe."""
    return tuple(
        _path(program, objective, target)
        for objective in program.objectives
        for target in objective.targets
        if target.representation.word.candidates == TEXTS
    )


def _path(program: Program, objective: Objective, target: Target) -> TextPath:
    trace = Trace(place_of(program.span))
    reference = target.data[0]
    shown = objective.input_of(reference.which)
    whole = InputReference(shown.view, None, False, None, shown.span)
    plain = replace(objective, inputs=(whole,), mix=None, symmetric=False)
    with trace.at(target.span, f"{objective.name}.{target.name}"):
        pair = TargetBuilder(PartsBuilder(trace, every_field=True), plain, target).pair(
            replace(reference, which=None), whole
        )
    trace.output("prediction", pair.prediction)
    trace.output("target", pair.target)
    graph = trace.graph(program.name)
    return TextPath(objective, target, _only(graph, "prediction"), _only(graph, "target"))


def _only(graph: Graph, name: str) -> Graph:
    """What one output depends on."""
    read = {graph.output(name).name}
    for equation in reversed(graph.equations):
        if any(value.name in read for value in equation.results):
            read.update(value.name for value in equation.arguments if value is not None)
    return replace(
        graph,
        inputs=tuple(input_ for input_ in graph.inputs if input_.value.name in read),
        equations=tuple(e for e in graph.equations if any(value.name in read for value in e.results)),
        outputs=((name, graph.output(name)),),
    )
