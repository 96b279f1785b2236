"""One cross-correlation matrix for a likelihood and the penalty beside it.

Takes: any graph. Gives: a graph in which Barlow Twins' two terms, the pull on the diagonal and the decorrelation off
it, read one matrix C = z1^T z2 / B instead of building one each. Guarantees: only for terms on the same two values.
"""

from __future__ import annotations

from dataclasses import replace

from m3i_dsl.ir.effects import module_of
from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.passes.model import Pass
from m3i_dsl.passes.rewriting import fresh_names, rebuilt, retyped
from m3i_dsl.vocabulary.kinds import Distribution, Regularization


def one_correlation(graph: Graph, batch: int = 0) -> Graph:
    """Writes the matrix before the first of each group of terms, and gives it to all."""
    terms = [e for e in graph.equations if _correlates(e, graph)]
    pairs = [_pair(e) for e in terms]
    shared = {pair for pair in pairs if pairs.count(pair) > 1}
    name = fresh_names(graph)
    matrices: dict[tuple[str, str], Value] = {}
    equations: list[Equation] = []
    for equation in graph.equations:
        if equation not in terms or _pair(equation) not in shared:
            equations.append(equation)
            continue
        if _pair(equation) not in matrices:
            unknown = Value(name(), equation.results[0].type)
            matrix = Equation((unknown,), "correlation", equation.arguments[:2], (), equation.place)
            equations.append(retyped(matrix, graph))
            matrices[_pair(equation)] = equations[-1].results[0]
        equations.append(_given(equation, matrices[_pair(equation)]))
    return rebuilt(graph, equations)


def _correlates(equation: Equation, graph: Graph) -> bool:
    """Whether a term is a function of the correlation matrix alone."""
    module = module_of(equation, graph)
    if module is None or len(equation.arguments) > 2:  # with a third it was given the matrix already
        return False
    if equation.operation == "compare":
        return bool(module.attribute("standardized")) and module.as_a(Distribution).reads_correlation
    return equation.operation == "penalty" and module.as_a(Regularization).reads_correlation


def _pair(equation: Equation) -> tuple[str, str]:
    prediction, target = equation.arguments[:2]
    assert prediction is not None and target is not None
    return prediction.name, target.name


def _given(equation: Equation, matrix: Value) -> Equation:
    return replace(equation, arguments=(*equation.arguments, matrix))


PASS = Pass("one-correlation", "exact", "both terms of Barlow Twins read one correlation matrix", one_correlation)
