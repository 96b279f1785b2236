"""The shape rule of each operation refuses what does not fit: one case for each thing that it asks."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from m3i_dsl.ir.graph import Attribute, Dimension, DType, Module, Place, Section, Type
from m3i_dsl.ir.operations import OPERATIONS, ShapeFault
from m3i_dsl.vocabulary.predictors.linear import Linear

PLACE = Place("r.m3i", 1, 1)
AT = {"prefix": 1, "rows": 4, "columns": 4, "target_rows": 2, "target_columns": 2, "count": 4, "prefixed": False}


def of(text: str) -> Type | None:
    """`B, 16, 36`, or `i64 B` of another type; "-" is an argument left out."""
    if text == "-":
        return None
    dtype, _, sizes = text.rpartition(" ") if text.startswith(("i64", "bool")) and "," not in text else ("", "", text)
    if match := re.match(r"(i64|bool) (.*)", text):
        dtype, sizes = match[1], match[2]
    dimensions: tuple[Dimension, ...] = tuple(
        int(part) if part.isdigit() else part for part in sizes.split(", ") if part
    )
    known: Mapping[str, DType] = {"": "f32", "i64": "i64", "bool": "bool"}
    return Type(known[dtype], dimensions)


def results(
    operation: str, arguments: tuple[str, ...], attributes: Mapping[str, Attribute], module: Mapping[str, Attribute]
) -> tuple[str, ...]:
    """The result types; the word of the module is never looked at by these operations."""
    section: Section = OPERATIONS[operation].section or "predictors"
    part = Module(section, "part", Linear(), tuple(module.items()), PLACE)
    types = OPERATIONS[operation].results(tuple(map(of, arguments)), attributes, part)
    return tuple(", ".join(map(str, type_.dimensions)) for type_ in types)


WIDTHS = {"input_width": 36, "output_width": 8}

FITTING = [
    ("blend", ("B, 3, 8, 8", "B, 3, 8, 8", "bool B, 4"), {}, {}, ("B, 3, 8, 8",)),
    ("mixed", ("B, 3, 8, 8", "B, 3, 8, 8", "B, 5"), {}, {}, ("B, 3, 8, 8",)),
    ("own_share", ("B, 5",), {}, {}, ("B",)),
    ("rows", ("B, 5",), {"period": 5, "which": "0:2 4:5"}, {}, ("3B/5, 5",)),
    ("concat", ("B, 5", "B, 5"), {}, {}, ("2B, 5",)),
    ("split", ("2B, 5",), {"count": 2}, {}, ("B, 5", "B, 5")),
    ("patchify", ("B, 3, 8, 16",), {"rows": 2, "columns": 4}, {}, ("B, 8, 48",)),
    ("resize", ("B, 3, 8, 16",), {"height": 4, "width": 6}, {}, ("B, 3, 4, 6",)),
    ("renormalize", ("B, 3, 8, 16",), {"scale": "1 1 1", "shift": "0 0 0"}, {}, ("B, 3, 8, 16",)),
    ("gather", ("B, 17, 36", "bool B, 16"), {"count": 8, "prefix": 1}, {}, ("B, 9, 36",)),
    ("match", ("B, 16, 8", "B, 4, 36", "B, 16, 36"), {}, {}, ("B, 4, 8",)),
    ("table", (), {}, {"rows": "C", "width": 8}, ("C, 8", "C")),
    ("table", (), {}, {"rows": 50, "width": 8}, ("50, 8", "50")),
    ("represent", ("B, 36",), {"tokens": 0}, {"width": 8}, ("B, 8",)),
    ("represent", ("B, 3, 8, 8", "i64 B, 4"), {"tokens": 4}, {"width": 8}, ("B, 4, 8",)),
    ("project", ("B, 5, 36",), {}, WIDTHS, ("B, 5, 8",)),
    ("predict", ("2B, 36",), {}, WIDTHS, ("2B, 8",)),
    ("predict_at", ("B, 9, 36", "bool B, 16", "bool B, 4"), AT, WIDTHS, ("B, 4, 8",)),
    ("predict_at", ("B, 9, 36", "bool B, 16"), AT | {"prefixed": True}, WIDTHS, ("B, 5, 8",)),
    ("predict_pooled", ("B, 17, 36", "-"), {}, WIDTHS, ("B, 8",)),
    ("assign", ("B, 8", "B, 8"), {}, {"width": 8}, ("B, 8", "B, 8")),
    ("compare", ("B, 8", "B, 8"), {}, {}, ("",)),
    ("contrast", ("B, 4, 8", "B, 4, 8", "B, 16, 8"), {}, {}, ("",)),
    ("classify", ("4B/5, 8", "C, 8", "C", "i64 4B/5"), {}, {}, ("",)),
    ("retrieve", ("B, 8", "B, 8", "i64 B, 24"), {}, {}, ("",)),
    ("cross_entropy", ("B, 8", "B, 8"), {}, {}, ("",)),
    ("penalty", ("B, 8", "B, 8"), {}, {}, ("",)),
    ("correlation", ("B, 8", "B, 8"), {}, {}, ("8, 8",)),
]

FAULTS = [
    ("blend", ("B, 3, 8, 8", "B, 3, 8, 16", "bool B, 4"), {}, {}, "differ in shape"),
    ("rows", ("B, 5",), {"period": 5, "which": "3:2"}, {}, "no ascending rows of 5"),
    ("rows", ("B, 5",), {"period": 5, "which": "3:6"}, {}, "no ascending rows of 5"),
    ("rows", ("C, 5",), {"period": 5, "which": "0:2"}, {}, "is no batch"),
    ("concat", ("B, 5", "B, 6"), {}, {}, "one shape"),
    ("split", ("3B, 5",), {"count": 2}, {}, "is not 2 batches"),
    ("patchify", ("B, 3, 8, 9",), {"rows": 2, "columns": 2}, {}, "does not divide 8x9"),
    ("represent", ("B, 36", "2B, 36"), {"tokens": 0}, {"width": 8}, "values of one batch"),
    ("project", ("B, 5, 35",), {}, WIDTHS, "the projector takes 36 channels"),
    ("predict", ("B, 35",), {}, WIDTHS, "the predictor takes 36 channels"),
    ("predict_at", ("B, 9, 36", "bool B, 9"), AT, WIDTHS, "`hidden` is of 16 tokens"),
    ("predict_at", ("B, 9, 36", "-", "bool B, 16"), AT, WIDTHS, "`wanted` is of 4 tokens"),
    ("predict_at", ("B, 17, 36", "-", "-", "B, 16"), AT, WIDTHS, "`source` is of 16 tokens"),
    ("predict_pooled", ("B, 17, 35", "-"), {}, WIDTHS, "the predictor takes 36 channels"),
    ("assign", ("B, 8", "B, 9"), {}, {"width": 8}, "there are 8 prototypes"),
    ("compare", ("B, 8", "B, 9"), {}, {}, "the prediction is"),
    ("compare", ("B, 4, 8", "B, 5, 8"), {}, {}, "the prediction is"),
    ("contrast", ("B, 4, 8", "B, 4, 8", "B, 16, 9"), {}, {}, "the keys are"),
    ("contrast", ("B, 8", "B, 9", "-"), {}, {}, "the prediction is"),
    ("classify", ("B, 8", "C, 9", "C", "i64 B"), {}, {}, "the table"),
    ("classify", ("B, 8", "C, 8", "B", "i64 B"), {}, {}, "the bias is"),
    ("classify", ("B, 8", "C, 8", "C", "i64 4B/5"), {}, {}, "the labels are"),
    ("classify", ("B, 8", "C, 8", "C", "i64 B", "i64 4B/5", "B"), {}, {}, "the labels are"),
    ("retrieve", ("B, 8", "B, 8", "i64 4B/5, 24"), {}, {}, "the tokens are"),
    ("retrieve", ("B, 8", "B, 9", "i64 B, 24"), {}, {}, "the prediction is"),
    ("cross_entropy", ("B, 8", "B, 9"), {}, {}, "the prediction is"),
    ("penalty", ("B, 8", "2B, 8"), {}, {}, "the prediction is"),
    ("compare", ("B, 8", "-"), {}, {}, "argument 1 is missing"),
    ("gather", ("B, 17, 36", "bool B, 16"), {"count": True, "prefix": 1}, {}, "expected a whole number"),
]


@pytest.mark.parametrize(("operation", "arguments", "attributes", "module", "expected"), FITTING)
def test_what_fits_has_its_type(
    operation: str,
    arguments: tuple[str, ...],
    attributes: Mapping[str, Attribute],
    module: Mapping[str, Attribute],
    expected: tuple[str, ...],
) -> None:
    assert results(operation, arguments, attributes, module) == expected


@pytest.mark.parametrize(("operation", "arguments", "attributes", "module", "message"), FAULTS)
def test_what_does_not_fit_is_refused(
    operation: str,
    arguments: tuple[str, ...],
    attributes: Mapping[str, Attribute],
    module: Mapping[str, Attribute],
    message: str,
) -> None:
    with pytest.raises(ShapeFault, match=re.escape(message)):
        results(operation, arguments, attributes, module)


@pytest.mark.parametrize(
    ("operation", "arguments", "attributes", "positional", "named"),
    [
        (
            "encode",
            ("image", "hidden", None),
            {"tokens": "drop", "embed": "all"},
            ("image", "hidden"),
            {"tokens": "drop"},
        ),
        (
            "encode",
            ("image", None, "own"),
            {"embed": "visible"},
            ("image", None),
            {"embed": "visible", "isolate": "own"},
        ),
        ("encode_packed", ("a", "b", "c"), {}, (("a", "b", "c"),), {}),
        ("weigh", ("a", "b", "z"), {}, (("a", "b"), "z"), {}),
        ("compare", ("zh", "zy"), {}, ("zh", "zy"), {}),
        ("compare", ("zh", "zy", "C"), {}, ("zh", "zy"), {"correlation": "C"}),
        ("represent", ("x",), {"tokens": 4}, ("x",), {}),
        (
            "predict_at",
            ("x", "h"),
            {"count": 4, "needed": False, "shared": True},
            ("x", "h"),
            {"count": 4, "shared": True},
        ),
    ],
)
def test_an_operation_says_how_its_module_is_called(
    operation: str,
    arguments: tuple[str | None, ...],
    attributes: Mapping[str, Attribute],
    positional: tuple[object, ...],
    named: Mapping[str, object],
) -> None:
    assert OPERATIONS[operation].call(arguments, {"module": "part", **attributes}) == (positional, named)
