"""Whether words communicate as they say.

Takes: an executable and the traffic of its step in a recorded world of several processes. Gives: a diagnostic for each
module that calls a collective of which its word declares nothing, and for each that calls none although its word's
value depends on the batch: it would read the rows of its own process only, and change the recipe with their number.
Guarantees: it asks effects and the graph, never which word it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx, nn

from m3i_dsl.diagnostics import Diagnostic, error
from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.effects import module_effects
from m3i_dsl.ir.graph import Equation, Graph, Module, Place
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.ir.trace import place_of
from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.parts import attribute_name
from m3i_dsl.plan.traffic import Traffic
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.blame import named
from m3i_dsl.vocabulary.word import COMMUNICATES, Effect


def modules_of(graph: Graph, module: fx.GraphModule) -> dict[str, nn.Module]:
    """The modules of `graph` in what it was lowered to, or in a copy of that, by section and name."""
    return {
        _key(part): module.get_submodule(f"{part.section}.{attribute_name(part.name)}")
        for part in graph.modules
        if part.section in dict(module.named_children())
    }


def effect_faults(executable: Executable, traffic: Traffic) -> Iterator[Diagnostic]:
    """M3I0403, of the parts that `traffic` tells apart."""
    graph = executable.graph
    given = _given_statistics(graph)
    for part in graph.modules:
        if _key(part) not in traffic.called:
            continue
        declared = module_effects(part, graph) & COMMUNICATES
        sends = _key(part) in traffic.callers
        if sends and not declared:
            yield _fault(
                executable.program,
                part,
                f"{named(part.word)} communicates with other processes, and no effect of it says so",
                "declare `Effect.BATCH_COUPLED` if a sample's result depends on the other samples, "
                "else `Effect.COLLECTIVE`",
            )
        elif declared and not sends and _key(part) not in given:
            what = "depends on the whole batch" if Effect.BATCH_COUPLED in declared else "communicates"
            yield _fault(
                executable.program,
                part,
                f"{named(part.word)} says that it {what}, but sends nothing to other processes",
                "use `gather`, `total` or `mean` of `m3i_dsl.collectives`, or declare no such effect",
            )


def _fault(program: Program, part: Module, message: str, help_: str) -> Diagnostic:
    notes = (f"the module is {part.section}.{part.name}",)
    return error("M3I0403", message, _span(program, part.place), notes=notes, helps=(help_,))


def _span(program: Program, place: Place) -> Span:
    """Where a module of the program was written."""
    spans = [encoder.span for encoder in program.encoders.values()]
    for objective in program.objectives:
        spans.append(objective.weighting.span)
        for target in objective.targets:
            placed = (target.predictor, target.distribution, *target.regularizations, target.representation)
            spans += [each.span for each in placed]
    return next((span for span in spans if place_of(span, place.role) == place), program.span)


def _given_statistics(graph: Graph) -> frozenset[str]:
    """Modules that are given a statistic of the batch in each of their calls: what made it has communicated."""
    statistics = {
        result.name
        for equation in graph.equations
        if OPERATIONS[equation.operation].effects & COMMUNICATES
        for result in equation.results
        if not any(_of_samples(dimension) for dimension in result.type.dimensions)
    }
    calls: dict[str, list[bool]] = {}
    for equation in graph.equations:
        if (key := _called(equation)) is not None:
            given = any(value is not None and value.name in statistics for value in equation.arguments)
            calls.setdefault(key, []).append(given)
    return frozenset(key for key, given in calls.items() if all(given))


def _of_samples(dimension: int | str) -> bool:
    return not isinstance(dimension, int) and batches_in(dimension) is not None


def _called(equation: Equation) -> str | None:
    section = OPERATIONS[equation.operation].section
    return None if section is None else f"{section}.{equation.attribute('module')}"


def _key(part: Module) -> str:
    return f"{part.section}.{part.name}"
