"""The typed IR: what a step computes, in A-normal form.

Takes: nothing (ir/build.py builds it). Gives: `Graph`, equations over named values, each with its type and the recipe
line that it came from. Guarantees: plain data, no torch; `parse(print(graph)) == graph` (ir/text.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from m3i_dsl.ir.inputs import BatchInput
from m3i_dsl.vocabulary.word import Word

DType = Literal["f32", "i64", "bool"]
"""f32 stands for the float type of the run (bf16 autocast, float64 in tests)."""

Dimension = int | str
"""A size, or `B` (batch), `2B` (two batches in one), `4B/5` (a part of it) or `C` (categories, bound by the lock)."""

Attribute = int | float | str | bool

W = TypeVar("W", bound=Word)
Section = Literal[
    "encoders",
    "projectors",
    "predictors",
    "representations",
    "assignments",
    "likelihoods",
    "penalties",
    "weightings",
]
"""The groups of modules; each holds words of one kind."""


@dataclass(frozen=True, slots=True)
class Type:
    """`f32[B, 64, 192]`."""

    dtype: DType
    dimensions: tuple[Dimension, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(str(dimension) for dimension in self.dimensions)}]"


@dataclass(frozen=True, slots=True)
class Value:
    """`%3: f32[B, 64, 192]`."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the recipe something comes from: file (base name), line, column, and its role, `m3i.intra`."""

    file: str
    line: int
    column: int
    role: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}{f' {self.role}' if self.role else ''}"


@dataclass(frozen=True, slots=True)
class Equation:
    """`%3: type = operation(%1, none) {attribute: value}  # place`."""

    results: tuple[Value, ...]
    operation: str
    arguments: tuple[Value | None, ...]
    attributes: tuple[tuple[str, Attribute], ...]
    place: Place

    def attribute(self, name: str) -> Attribute:
        return dict(self.attributes)[name]

    def with_attribute(self, name: str, value: Attribute) -> Equation:
        """The same equation with another value of one of its attributes."""
        attributes = tuple((key, value if key == name else old) for key, old in self.attributes)
        return replace(self, attributes=attributes)


@dataclass(frozen=True, slots=True)
class Module:
    """`module predictors.m3i_intra = decoder(...) {input_width: 192, ...}`: a part with parameters or settings."""

    section: Section
    name: str
    word: Word
    attributes: tuple[tuple[str, Attribute], ...]
    place: Place

    def attribute(self, name: str) -> Attribute:
        return dict(self.attributes)[name]

    def get(self, name: str) -> Attribute | None:
        return dict(self.attributes).get(name)

    def as_a(self, kind: type[W]) -> W:
        """Its word, typed: the section says of which kind it is."""
        assert isinstance(self.word, kind), f"{self.section}.{self.name} is `{self.word.name}`"
        return self.word


@dataclass(frozen=True, slots=True)
class Input:
    """A placeholder: what to feed, and its value."""

    source: BatchInput
    value: Value


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole step. `outputs` are named `loss`, `losses/m3i.intra`, `weights/m3i`, `representations/...`."""

    name: str
    modules: tuple[Module, ...]
    inputs: tuple[Input, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[tuple[str, Value], ...]

    def module(self, section: Section, name: str) -> Module:
        return next(m for m in self.modules if (m.section, m.name) == (section, name))

    def calls_of(self, operations: Collection[str], name: str) -> tuple[Equation, ...]:
        """The equations that call module `name` by one of some operations."""
        return tuple(e for e in self.equations if e.operation in operations and e.attribute("module") == name)

    def output(self, name: str) -> Value:
        return dict(self.outputs)[name]


MONITORS = "representations/"
"""How the names of outputs begin that only monitors read."""


ENCODES = ("encode", "encode_packed", "encode_text")
"""The operations that run an encoder."""


def encoder_calls(graph: Graph) -> int:
    """How often a step runs an encoder."""
    return sum(equation.operation in ENCODES for equation in graph.equations)
