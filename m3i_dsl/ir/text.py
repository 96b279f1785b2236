"""The text form of the IR.

Takes: a graph, or its text. Gives: the other. Guarantees: `read(write(graph)) == graph`; attributes are written as the
values of the recipe language and words as a recipe writes them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import NoReturn, cast

from m3i_dsl.diagnostics import Diagnostics, RecipeError, error
from m3i_dsl.ir.graph import Attribute, Dimension, DType, Equation, Graph, Input, Module, Place, Section, Type, Value
from m3i_dsl.ir.inputs import BatchInput, BlendInput, FieldInput, GeometryInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.semantics.bind import Binder, Unbound
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.parser import parse_value
from m3i_dsl.vocabulary.kinds import Blend, Grid, Mask, PlainModality, TextMask
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.values import number_text, string_text
from m3i_dsl.vocabulary.word import Kind, Word

VERSION = 3

KIND_OF_SECTION: Mapping[Section, Kind] = {
    "encoders": "encoder",
    "projectors": "predictor",
    "predictors": "predictor",
    "representations": "representation",
    "assignments": "regularization",
    "likelihoods": "distribution",
    "penalties": "regularization",
    "weightings": "weighting",
}

_INPUTS: Mapping[str, type[BatchInput]] = {
    "view": ViewInput,
    "geometry": GeometryInput,
    "mask": MaskInput,
    "blend": BlendInput,
    "text_mask": TextMaskInput,
    "field": FieldInput,
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def write(graph: Graph) -> str:
    """The text of a graph, one thing a line."""
    lines = [f"ir {VERSION}", f"recipe {graph.name}", ""]
    for module in graph.modules:
        lines.append(
            f"module {module.section}.{module.name} = {module.word.text()} "
            f"{{{_attributes(dict(module.attributes))}}}  # {module.place}"
        )
    lines.append("")
    for input_ in graph.inputs:
        kind = next(name for name, class_ in _INPUTS.items() if isinstance(input_.source, class_))
        lines.append(f"input %{input_.value.name}: {input_.value.type} = {kind}({_input_fields(input_.source)})")
    lines.append("")
    for equation in graph.equations:
        results = ", ".join(f"%{value.name}: {value.type}" for value in equation.results)
        arguments = ", ".join("none" if value is None else f"%{value.name}" for value in equation.arguments)
        attributes = f" {{{_attributes(dict(equation.attributes))}}}" if equation.attributes else ""
        lines.append(f"{results} = {equation.operation}({arguments}){attributes}  # {equation.place}")
    lines.append("")
    lines.extend(f"output {name} = %{value.name}" for name, value in graph.outputs)
    return "\n".join(lines) + "\n"


def _attributes(attributes: Mapping[str, Attribute]) -> str:
    return ", ".join(f"{name}: {_attribute(value)}" for name, value in attributes.items())


def _attribute(value: Attribute) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if _NAME.match(value) and value not in ("true", "false") else string_text(value)
    return number_text(value)


def _input_fields(source: BatchInput) -> str:
    parts: list[str] = []
    for field in dataclasses.fields(source):
        value = getattr(source, field.name)
        if field.name == "name" or value is None:
            continue
        if isinstance(value, Grid):
            parts.append(f"rows: {value.rows}, columns: {value.columns}")
        elif isinstance(value, tuple):
            parts.append(f"{field.name}: {_attribute(' '.join(value))}")
        elif isinstance(value, Word):
            parts.append(f"{field.name}: {value.text()}")
        else:
            parts.append(f"{field.name}: {_attribute(value)}")
    return ", ".join(parts)


# --- reading ----------------------------------------------------------------------------------------------------------

_TYPE = r"(?:f32|i64|bool)\[[^\]]*\]"
_MODULE = re.compile(r"module (\w+)\.(\w+) = (.*?) \{(.*)\}  # (.*)\Z")
_INPUT = re.compile(rf"input %(\w+): ({_TYPE}) = (\w+)\((.*)\)\Z")
_EQUATION = re.compile(rf"((?:%\w+: {_TYPE}(?:, )?)+) = (\w+)\(([^()]*)\)(?: \{{(.*)\}})?  # (.*)\Z")
_RESULT = re.compile(rf"%(\w+): ({_TYPE})")
_OUTPUT = re.compile(r"output (\S+) = %(\w+)\Z")
_PLACE = re.compile(r"(.+):(\d+):(\d+)(?: (\S+))?\Z")


class _Reader:
    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.values: dict[str, Value] = {}
        self.modules: list[Module] = []
        self.inputs: list[Input] = []
        self.equations: list[Equation] = []
        self.outputs: list[tuple[str, Value]] = []
        self.name = ""

    def line(self, number: int, text: str) -> None:
        span = Span(self.file, self.file.line_starts[number - 1], self.file.line_starts[number - 1] + len(text))
        if not text.strip() or (number == 1 and text == f"ir {VERSION}"):
            return
        if text.startswith("recipe "):
            self.name = text.removeprefix("recipe ")
        elif match := _MODULE.match(text):
            section = cast(Section, match[1])
            kind = KIND_OF_SECTION.get(section) or self._fail(span, f"unknown section `{match[1]}`")
            word = self._word(match[3], kind, span)
            attributes = tuple((k, self._attribute(v)) for k, v in self._arguments(match[4], span))
            self.modules.append(Module(section, match[2], word, attributes, self._place(match[5], span)))
        elif match := _INPUT.match(text):
            self.inputs.append(Input(self._input(match[1], match[3], match[4], span), self._define(match[1], match[2])))
        elif match := _EQUATION.match(text):
            self._equation(match, span)
        elif match := _OUTPUT.match(text):
            self.outputs.append((match[1], self._value(match[2], span)))
        else:
            self._fail(span, "this is not a line of the IR")

    def _equation(self, match: re.Match[str], span: Span) -> None:
        if match[2] not in OPERATIONS:
            self._fail(span, f"unknown operation `{match[2]}`")
        arguments = tuple(
            None if part == "none" else self._value(part.removeprefix("%"), span)
            for part in match[3].split(", ")
            if part
        )
        attributes = tuple((k, self._attribute(v)) for k, v in self._arguments(match[4] or "", span))
        expected, found = OPERATIONS[match[2]].attributes, [name for name, _ in attributes]
        if sorted(found) != sorted(expected):
            # What another version of m3ic wrote, more often than an edit.
            wanted = ", ".join(f"`{name}`" for name in expected) or "no attributes"
            self._fail(span, f"`{match[2]}` has {wanted}, and this line gives {', '.join(found) or 'none'}")
        results = tuple(self._define(name, type_) for name, type_ in _RESULT.findall(match[1]))
        self.equations.append(Equation(results, match[2], arguments, attributes, self._place(match[5], span)))

    def _define(self, name: str, type_: str) -> Value:
        dtype, _, inner = type_.partition("[")
        dimensions: tuple[Dimension, ...] = tuple(
            int(part) if part.isdigit() else part for part in inner.rstrip("]").split(", ") if part
        )
        self.values[name] = Value(name, Type(cast(DType, dtype), dimensions))
        return self.values[name]

    def _value(self, name: str, span: Span) -> Value:
        return self.values.get(name) or self._fail(span, f"unknown value `%{name}`")

    def _input(self, name: str, kind: str, fields: str, span: Span) -> BatchInput:
        given = {key: value for key, value in self._arguments(fields, span)}
        if kind == "field":
            if not {"data", "field", "modality"} <= given.keys() <= {"data", "field", "modality", "by"}:
                self._fail(span, "an input of a field has `data`, `field`, `modality` and perhaps `by`")
            modality = self._word(given.pop("modality").span.text, "modality", span)
            if not isinstance(modality, PlainModality):
                self._fail(span, f"{modality.text()} is no input by itself")
            plain = {key: str(self._attribute(value)) for key, value in given.items()}
            return FieldInput(name, plain["data"], plain["field"], modality, plain.get("by"))
        if kind == "mask":
            mask = self._word(given.pop("mask").span.text, "mask", span)
            assert isinstance(mask, Mask)
            plain = {key: self._attribute(value) for key, value in given.items()}
            grid = Grid(int(plain["rows"]), int(plain["columns"]))
            objectives = tuple(str(plain["objectives"]).split())
            return MaskInput(name, str(plain["view"]), mask, grid, int(plain["stride"]), str(plain["slot"]), objectives)
        if kind == "blend":
            blend = self._word(given.pop("blend").span.text, "mix", span)
            assert isinstance(blend, Blend)
            plain = {key: str(self._attribute(value)) for key, value in given.items()}
            return BlendInput(name, plain["view"], blend, plain["slot"])
        if kind == "text_mask":
            hiding = self._word(given.pop("mask").span.text, "mask", span)
            assert isinstance(hiding, TextMask)
            plain = {key: str(self._attribute(value)) for key, value in given.items()}
            objectives = tuple(plain.pop("objectives").split())
            return TextMaskInput(name, **plain, mask=hiding, objectives=objectives)
        plain = {key: str(self._attribute(value)) for key, value in given.items()}
        class_ = _INPUTS.get(kind) or self._fail(span, f"unknown kind of input `{kind}`")
        return class_(name, **plain)  # type: ignore[arg-type]  # every remaining class has text fields only

    def _arguments(self, text: str, span: Span) -> list[tuple[str, ast.Value]]:
        if not text:
            return []
        value = parse_value(f"attributes({text})", self.file.name)
        assert isinstance(value, ast.Term) and value.arguments is not None
        return [(argument.name.text, argument.value) for argument in value.arguments if argument.name is not None]

    def _attribute(self, value: ast.Value) -> Attribute:
        match value:
            case ast.Number():
                return int(value.value) if value.value == int(value.value) else value.value
            case ast.String():
                return value.value
            case ast.Term():
                return value.name == "true" if value.name in ("true", "false") else value.name
            case _:
                self._fail(value.span, "an attribute is a number, a name, a string, `true` or `false`")

    def _word(self, text: str, kind: Kind, span: Span) -> Word:
        diagnostics = Diagnostics()
        base = next(iter(words(kind).values())).__mro__[1]
        try:
            return Binder({}, diagnostics).word(parse_value(text, self.file.name), base, kind).word
        except Unbound:
            raise RecipeError(diagnostics) from None

    def _place(self, text: str, span: Span) -> Place:
        match = _PLACE.match(text) or self._fail(span, "a line ends with its place in the recipe")
        return Place(match[1], int(match[2]), int(match[3]), match[4] or "")

    def _fail(self, span: Span, message: str) -> NoReturn:
        help_ = "compile the recipe again with `m3ic compile`: other versions of m3ic write other graphs"
        raise RecipeError([error("M3I0401", message, span, helps=(help_,))])


def read(text: str, name: str = "recipe.ir") -> Graph:
    """The graph of a text. Raises RecipeError (M3I0401) at the line that is not IR."""
    reader = _Reader(SourceFile(name, text))
    for number, line in enumerate(text.splitlines(), 1):
        reader.line(number, line)
    return Graph(
        reader.name, tuple(reader.modules), tuple(reader.inputs), tuple(reader.equations), tuple(reader.outputs)
    )


def without_places(text: str) -> str:
    """The text of a graph without the place at the end of each line."""
    # A recipe's name may have spaces in it.
    return re.sub(r"  # (?:(?!  # ).)+:\d+:\d+(?: \S+)?$", "", text, flags=re.MULTILINE)
