"""Random words of the vocabulary with random arguments, such as a recipe could write."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.values import Duration, Ramp, Rate, Scalar
from m3i_dsl.vocabulary.word import Bounds, Kind, Parameter, ValueType, Word

_LARGEST = 10**6


@functools.cache
def instances(class_: type[Word]) -> st.SearchStrategy[Word]:
    """Words of one class; combinations that the class itself refuses are left out."""
    arguments = {parameter.name: _argument(parameter) for parameter in class_.parameters()}

    @st.composite
    def built(draw: st.DrawFn) -> Word | None:
        values = {name: draw(strategy) for name, strategy in arguments.items()}
        try:
            return class_(**values)
        except WordError:
            return None

    return built().filter(lambda word: word is not None)  # type: ignore[return-value]  # filtered


def _argument(parameter: Parameter) -> st.SearchStrategy[Any]:
    values = value(parameter.type, parameter.bounds)
    return st.none() | values if parameter.type.optional else values


def value(type_: ValueType, bounds: Bounds) -> st.SearchStrategy[Any]:
    """Values of a declared type within its bounds."""
    number = _number(type_, bounds)
    ordered = st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))
    match type_.form:
        case "number":
            return number | ordered if type_.ranged else number
        case "range":
            return ordered
        case "list":
            return st.lists(number, min_size=1, max_size=3, unique=True).map(lambda items: tuple(sorted(items)))
        case "boolean":
            return st.booleans()
        case "string":
            return st.text(st.characters(codec="utf-8"), max_size=12)
        case "choice":
            return st.sampled_from(type_.choices)
        case "ramp":
            shapes = st.sampled_from(("linear", "cosine"))
            return number.map(Ramp.constant) | st.builds(Ramp, number, number, shapes)
        case "rate":
            return st.builds(Rate, number, st.none() | st.integers(1, 4096))
        case "scalar":
            return st.builds(Scalar, number, st.booleans())
        case "duration":
            return st.builds(Duration, st.integers(0, _LARGEST).map(float), st.sampled_from(("epochs", "steps")))
        case "word":
            assert type_.word is not None
            return st.deferred(lambda: _of_kind(type_.word.kind))  # such as a predictor of predictors


@functools.cache
def _of_kind(kind: Kind) -> st.SearchStrategy[Word]:
    """Words of a kind whose arguments are none of the same kind, so that there is an end to it."""
    plain = [word for word in words(kind).values() if all(_kind_of(p) != kind for p in word.parameters())]
    return st.one_of(*(instances(word) for word in plain))


def _kind_of(parameter: Parameter) -> Kind | None:
    return None if parameter.type.word is None else parameter.type.word.kind


def _number(type_: ValueType, bounds: Bounds) -> st.SearchStrategy[Any]:
    """Numbers that a text can have: decimals, in the unit that they are written in."""
    unit = type_.quantity.unit if type_.quantity is not None else ""
    scale = 100 if unit == "%" else 1
    lows = [limit for limit in (bounds.minimum, bounds.above) if limit is not None]
    highs = [limit for limit in (bounds.maximum, bounds.below) if limit is not None]
    low = max(lows) * scale if lows else -_LARGEST
    high = min(highs) * scale if highs else _LARGEST
    if type_.quantity is not None and type_.quantity.whole:
        return st.integers(int(low), int(high)).filter(bounds.allows)
    decimals = st.decimals(Decimal(str(low)), Decimal(str(high)), places=6, allow_nan=False, allow_infinity=False)
    return decimals.map(lambda number: float(number) / scale).filter(bounds.allows)
