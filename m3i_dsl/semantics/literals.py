"""Numbers of all sorts: units, whole numbers, bounds, ranges, ramps, rates, durations.

Takes: a literal of the syntax tree and the type and bounds of its place. Gives: the Python value. Guarantees: the
unit is the declared one, or Fault carries a diagnostic that says which one to write; a percentage is stored as a
fraction of 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, cast

from m3i_dsl.diagnostics import Diagnostic, Fix, error
from m3i_dsl.semantics.suggest import fix_for, help_for
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.values import Duration, Quantity, Ramp, Rate, Unit, number_text
from m3i_dsl.vocabulary.word import Bounds, ValueType

PLAIN = ValueType("number", Quantity(""))
WHOLE = ValueType("number", Quantity("", whole=True))

LARGEST = 2**53
"""Whole numbers up to here are exact in every number format that a recipe passes through."""

FEW_CHOICES = 3

DURATIONS = ("epochs", "steps", "samples", "%")

_UNITS = {"": "a plain number", "%": "a percentage", "px": "a length in px"}


class Fault(Exception):
    """A literal that does not fit its place."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def describe(value: ast.Value) -> str:
    """A value of the syntax tree in the words of a message."""
    match value:
        case ast.Number():
            return _unit_name(value.unit)
        case ast.String():
            return "a string"
        case ast.Range():
            return "a range"
        case ast.Ramp():
            return "a ramp"
        case ast.Rate():
            return "a rate"
        case ast.List():
            return "a list"
        case ast.Sum():
            return "a sum"
        case ast.Pipeline():
            return "a pipeline"
        case ast.Term():
            return f"`{value.name}`"


def number(node: ast.Number, type_: ValueType, what: str, bounds: Bounds) -> Any:
    """An int for a whole type, else a float; `what` names the place in messages. Raises Fault."""
    assert type_.quantity is not None
    unit = type_.quantity.unit
    if node.unit != unit:
        raise Fault(_wrong_unit(node, unit, what))
    if type_.quantity.whole:
        if abs(node.value) > LARGEST:
            raise Fault(error("M3I0203", f"{what} is too large", node.span, f"more than {LARGEST}"))
        if node.value != int(node.value):
            raise Fault(error("M3I0201", f"{what} is a whole number", node.span, "has a fraction"))
    value = node.value / 100 if unit == "%" else node.value
    if not bounds.allows(value):
        label = f"`{node.span.text}` is not"
        raise Fault(error("M3I0203", f"{what} must be {bounds.text(unit)}", node.span, label))
    return int(value) if type_.quantity.whole else value


def range_(node: ast.Range, type_: ValueType, what: str, bounds: Bounds) -> tuple[Any, Any]:
    """(low, high) with low <= high. Raises Fault."""
    element = dataclasses.replace(type_, form="number")
    low, high = (number(end, element, what, bounds) for end in (node.low, node.high))
    if low > high:
        turned = f"{node.high.span.text}..{node.low.span.text}"
        message = f"{what} is a range that goes down"
        raise Fault(error("M3I0203", message, node.span, helps=(f"write `{turned}`",), fix=Fix(node.span, turned)))
    return low, high


def ramp(node: ast.Ramp, what: str, bounds: Bounds) -> Ramp:
    """Raises Fault."""
    start, stop = (number(end, PLAIN, what, bounds) for end in (node.start, node.stop))
    shape, legal = node.shape.text, ("linear", "cosine")
    if shape not in legal:
        message = f"unknown shape `{shape}` of a ramp"
        helps, fix = help_for(shape, legal), fix_for(shape, node.shape.span, legal)
        raise Fault(error("M3I0122", message, node.shape.span, helps=helps, fix=fix))
    return Ramp(start, stop, cast(Literal["linear", "cosine"], shape))


def rate(node: ast.Rate, what: str, bounds: Bounds) -> Rate:
    """Raises Fault."""
    value = number(node.value, PLAIN, what, bounds)
    return Rate(value, number(node.per, WHOLE, f"the reference batch of {what}", Bounds(minimum=1)))


def duration(node: ast.Number, what: str) -> Duration:
    """Raises Fault."""
    if node.unit not in DURATIONS:
        text = number_text(node.value)
        helps = (f"write `{text} epochs`, `{text} steps`, `{text} samples`, or a percentage",)
        message = f"{what} is a length of training, but the value is {_unit_name(node.unit)}"
        raise Fault(error("M3I0202", message, node.span, helps=helps))
    value = node.value / 100 if node.unit == "%" else node.value
    if value < 0:
        raise Fault(error("M3I0203", f"{what} must be at least 0", node.span, f"`{node.span.text}` is not"))
    return Duration(value, node.unit)


def _wrong_unit(node: ast.Number, unit: Unit, what: str) -> Diagnostic:
    wanted = _UNITS[unit]
    spelled: str | None = None
    safe = True
    if node.unit == "" and unit == "%" and 0 < node.value <= 1:
        # Most likely meant as a share of 1; `0.75%` could be meant too, so it is only offered.
        spelled, safe = number_text(node.value, "%"), False
    elif node.unit == "":
        spelled = f"{number_text(node.value)}{unit}"
    elif node.unit == "%" and unit == "":
        spelled, safe = number_text(node.value / 100), False
    elif unit == "":
        spelled, safe = number_text(node.value), False
    return error(
        "M3I0202",
        f"{what} is {wanted}, but the value is {_unit_name(node.unit)}",
        node.span,
        f"expected {wanted}",
        helps=(f"write `{spelled}`",) if spelled else (),
        fix=Fix(node.span, spelled, safe) if spelled else None,
    )


def _unit_name(unit: str) -> str:
    return _UNITS.get(unit, f"a number of {unit}")
