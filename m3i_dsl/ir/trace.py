"""The trace: what a builder writes equations into.

Takes: operations with their arguments. Gives: values with inferred types; inputs and modules are made once for each
name. Guarantees: every equation's types come from the operation's shape rule, and it carries the place that is
current. `once` gives the results of an equal earlier equation, for calls that the language defines to be one.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from m3i_dsl.ir.graph import Attribute, Equation, Graph, Input, Module, Place, Section, Type, Value
from m3i_dsl.ir.inputs import BatchInput
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.word import Word


def place_of(span: Span, role: str = "") -> Place:
    """The place of a span; the file by its base name, so that an artifact does not depend on where it was compiled."""
    return Place(PurePath(span.file.name).name, span.line, span.column, role)


@dataclass(slots=True)
class Trace:
    """Collects the inputs, modules and equations of one graph."""

    place: Place
    inputs: dict[str, Input] = field(default_factory=dict)
    modules: dict[tuple[Section, str], Module] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    outputs: list[tuple[str, Value]] = field(default_factory=list)
    _count: int = 0
    _numbers: dict[object, int] = field(default_factory=dict[object, int])
    _number_of: dict[str, int] = field(default_factory=dict[str, int])
    _once: dict[object, int] = field(default_factory=dict[object, int])

    @contextmanager
    def at(self, span: Span, role: str = "") -> Generator[None]:
        """Equations written inside come from `span`."""
        before, self.place = self.place, place_of(span, role or self.place.role)
        try:
            yield
        finally:
            self.place = before

    def input(self, source: BatchInput, type_: Type) -> Value:
        if source.name not in self.inputs:
            self.inputs[source.name] = Input(source, Value(source.name, type_))
        return self.inputs[source.name].value

    def module(self, section: Section, name: str, word: Word, span: Span, **attributes: Attribute) -> Module:
        if (section, name) not in self.modules:
            place = place_of(span, self.place.role)
            self.modules[section, name] = Module(section, name, word, tuple(attributes.items()), place)
        return self.modules[section, name]

    def call(self, operation: str, *arguments: Value | None, **attributes: Attribute) -> tuple[Value, ...]:
        """Writes an equation; `attributes` in the order of the operation's declaration."""
        declared = OPERATIONS[operation]
        module = None
        if declared.section is not None:
            module = self.modules[declared.section, str(attributes["module"])]
        types = declared.results(tuple(a and a.type for a in arguments), attributes, module)
        results = tuple(Value(str(self._next()), type_) for type_ in types)
        ordered = tuple((name, attributes[name]) for name in declared.attributes)
        self.equations.append(Equation(results, operation, arguments, ordered, self.place))
        for index, result in enumerate(results):
            self._number_of[result.name] = self._number((operation, self._key(arguments), ordered, index))
        return results

    def once(self, operation: str, *arguments: Value | None, **attributes: Attribute) -> tuple[Value, ...]:
        """The results of the first such call on equal arguments; written if there is none.

        A call that asks for more taps than the first widens it: taps only add a result.
        """
        key = (operation, self._key(arguments), tuple(item for item in attributes.items() if item[0] != "taps"))
        if key not in self._once:
            self._once[key] = len(self.equations)
            return self.call(operation, *arguments, **attributes)
        place = self._once[key]
        if int(attributes.get("taps", 0)) > int(dict(self.equations[place].attributes).get("taps", 0)):
            self.equations[place] = with_taps(self.equations[place], int(attributes["taps"]))
        return self.equations[place].results

    def one(self, operation: str, *arguments: Value | None, **attributes: Attribute) -> Value:
        return self.call(operation, *arguments, **attributes)[0]

    def output(self, name: str, value: Value) -> None:
        self.outputs.append((name, value))

    def graph(self, name: str) -> Graph:
        return Graph(
            name,
            tuple(self.modules.values()),
            tuple(self.inputs.values()),
            tuple(self.equations),
            tuple(self.outputs),
        )

    def _key(self, arguments: tuple[Value | None, ...]) -> tuple[int | None, ...]:
        """What the arguments are computed from, as numbers: equal numbers, equal values."""
        return tuple(a and self._number_of.setdefault(a.name, self._number(a.name)) for a in arguments)

    def _number(self, structure: object) -> int:
        return self._numbers.setdefault(structure, len(self._numbers) + 1)

    def _next(self) -> int:
        self._count += 1
        return self._count - 1


def with_taps(equation: Equation, taps: int) -> Equation:
    """The encoder call `equation` yielding its last `taps` block outputs beside its features."""
    features = equation.results[0]
    batch, length, width = features.type.dimensions
    tapped = Value(f"{features.name}_taps", replace(features.type, dimensions=(batch, taps, length, width)))
    return replace(equation.with_attribute("taps", taps), results=(features, tapped))
