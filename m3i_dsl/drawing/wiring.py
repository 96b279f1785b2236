"""What feeds what in the plain graph, by the equations and inputs that a picture has a box for.

Takes: the graph of ir/build.py. Gives: `Wiring`. Guarantees: asks operations only, never words; what lies between two
boxes (a pool, a normalisation, a stop gradient, what a representation makes of its values) is told as `passed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.ir.graph import ENCODES, Equation, Graph, Value
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.ir.operations import LIKELIHOODS, OPERATIONS
from m3i_dsl.semantics.program import Objective, Target

Origin = Equation | ViewInput | FieldInput
"""What has a box: a run of an encoder, projector or predictor, a mix of images, a view, a field."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a value is made of: the nearest boxes before it, and the equations in between, each once."""

    origins: tuple[Origin, ...]
    passed: tuple[Equation, ...]

    def passes(self, operation: str) -> bool:
        return any(equation.operation == operation for equation in self.passed)

    def pools(self) -> tuple[str, ...]:
        """How tokens become one vector on the way."""
        return tuple(dict.fromkeys(str(e.attribute("mode")) for e in self.passed if e.operation == "pool"))


class Wiring:
    """A graph, read from its losses back to its inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._made = {value.name: equation for equation in graph.equations for value in equation.results}
        self._inputs = {input_.value.name: input_.source for input_ in graph.inputs}

    def comparisons(self, objective: Objective, target: Target) -> tuple[Equation, ...]:
        """Where predictions meet z_y in the loss of a target, in its forward half if it is symmetric."""
        loss = self.graph.output(f"losses/{objective.name}.{target.name}")
        if objective.symmetric:
            loss = _given(self._made[loss.name], 0)
        found: list[Equation] = []
        following = [loss]
        while following:
            equation = self._made[following.pop(0).name]
            if equation.operation in LIKELIHOODS:
                found.append(equation)
            elif equation.operation in ("add", "mean"):
                following = [*(value for value in equation.arguments if value is not None), *following]
        return tuple(found)

    def feed(self, *values: Value | None) -> Feed:
        """What is before some values."""
        origins: list[Origin] = []
        passed: list[Equation] = []
        seen: set[str] = set()
        following = [value for value in values if value is not None]
        while following:
            value = following.pop(0)
            if value.name in seen:
                continue
            seen.add(value.name)
            equation, input_ = self._made.get(value.name), self._inputs.get(value.name)
            if isinstance(input_, ViewInput | FieldInput):
                origins.append(input_)
            elif equation is not None and _has_box(equation):
                origins.append(equation)
            elif equation is not None:
                passed.append(equation)
                following = [*_followed(equation, value), *following]
        return Feed(tuple(dict.fromkeys(origins)), tuple(dict.fromkeys(passed)))

    def target(self, comparison: Equation) -> Feed:
        """What z_y is made of. What else the loss reads of the target (labels, candidates) counts where that is not
        behind z_y itself.
        """
        own = self.feed(comparison.arguments[1])
        rest = self.feed(*comparison.arguments[2:])
        behind = self._behind(own.origins)
        others = tuple(origin for origin in rest.origins if origin not in behind and origin not in own.origins)
        return Feed((*own.origins, *others), own.passed)

    def encoded(self, origins: tuple[Origin, ...]) -> tuple[Equation, ...]:
        """The runs of encoders nearest to some origins, themselves included."""
        found: list[Equation] = []
        for origin in origins:
            if isinstance(origin, Equation):
                nearest = (origin,) if origin.operation in ENCODES else self.encoded(self.before(origin).origins)
                found.extend(nearest)
        return tuple(dict.fromkeys(found))

    def before(self, equation: Equation) -> Feed:
        """What the box of an equation is fed with; the masks that it takes have no box of their own."""
        return self.feed(*equation.arguments)

    def source(self, value: Value) -> object:
        """The input that a value is, if it is one."""
        return self._inputs.get(value.name)

    def _behind(self, origins: tuple[Origin, ...]) -> set[Origin]:
        """All that is before some origins, at any distance."""
        found: set[Origin] = set()
        following = list(origins)
        while following:
            origin = following.pop()
            if isinstance(origin, Equation):
                new = [before for before in self.before(origin).origins if before not in found]
                found.update(new)
                following += new
        return found


def _has_box(equation: Equation) -> bool:
    sections = ("encoders", "projectors", "predictors")
    return equation.operation in ("blend", "mixed") or OPERATIONS[equation.operation].section in sections


def _followed(equation: Equation, value: Value) -> tuple[Value, ...]:
    """The arguments that the values of a result are made of."""
    if equation.operation in ("match", "gather", "pool_text"):  # the rest only says which rows are taken
        return (_given(equation, 0),)
    if equation.operation == "assign":  # a view's shares are made of its own scores
        return (_given(equation, equation.results.index(value)),)
    return tuple(argument for argument in equation.arguments if argument is not None)


def _given(equation: Equation, index: int) -> Value:
    argument = equation.arguments[index]
    assert argument is not None, f"argument {index} of {equation.operation}"
    return argument
