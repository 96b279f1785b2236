"""Cross-check of the IR's shape rules against torch.

Takes: a graph, the numbers of categories, and each value as it is computed. Gives: nothing. Guarantees:
every value that an equation yields has the type that the IR says; a disagreement is told where it begins, before what
takes the value fails for it, and names the word whose module yielded it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from m3i_dsl.ir.graph import Dimension, Equation, Graph
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.lower.meta_run import DTYPES, size_of
from m3i_dsl.vocabulary.word import Word


class ShapeDisagreement(AssertionError):
    """The IR and torch disagree on a type: a bug of m3ic, or of the package that `word` is of (None: no word's)."""

    def __init__(self, message: str, word: Word | None) -> None:
        super().__init__(message)
        self.word = word


class ShapeRules:
    """What the IR says of each value."""

    def __init__(self, graph: Graph, categories: Mapping[str, int]) -> None:
        self._graph = graph
        self._yielded = {value.name: (value, equation) for equation in graph.equations for value in equation.results}
        self._categories = frozenset(categories.values())

    def check(self, name: str, found: object, batch: int) -> None:
        """Value `name` is a tensor of its type when B is `batch`. Raises ShapeDisagreement."""
        value, equation = self._yielded[name]
        if found is None and equation.results.index(value) in OPERATIONS[equation.operation].optional:
            return
        if isinstance(found, Tensor) and found.ndim == len(value.type.dimensions):
            sizes = zip(value.type.dimensions, found.shape, strict=True)
            fitting = all(self._fits(dimension, size, batch) for dimension, size in sizes)
            if fitting and found.dtype == DTYPES[value.type.dtype]:
                return
        shown = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else f"no tensor, {type(found)}"
        said = f"%{name}: the IR says {value.type} with B = {batch}, torch {shown}"
        raise ShapeDisagreement(said, self._word(equation))

    def _fits(self, dimension: Dimension, size: int, batch: int) -> bool:
        """Each class table has the categories of its own data."""
        return size in self._categories if dimension == "C" else size == size_of(dimension, batch)

    def _word(self, equation: Equation) -> Word | None:
        section = OPERATIONS[equation.operation].section
        return None if section is None else self._graph.module(section, str(equation.attribute("module"))).word
