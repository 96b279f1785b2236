"""The values that arguments take: their Python types, units and canonical text.

Takes: nothing. Gives: the annotations that a word's arguments are declared with (`Count`, `Fraction`, `Pixels`, ...)
and the small value classes behind `a -> b cosine`, `x per 256`, `learned x` and `10 epochs`. Guarantees: `text(value)`
written in a recipe reads back as the same value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

Unit = Literal["", "%", "px", "epochs", "steps", "samples"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a number is written: its unit, and whether it must be whole. A value in `%` is stored as a fraction of 1."""

    unit: Unit
    whole: bool = False


Number = Annotated[float, Quantity("")]
Count = Annotated[int, Quantity("", whole=True)]
Fraction = Annotated[float, Quantity("%")]
Pixels = Annotated[int, Quantity("px", whole=True)]
FractionRange = Annotated[tuple[float, float], Quantity("%")]
FractionOrRange = Annotated[float | tuple[float, float], Quantity("%")]
"""One share, or a range that it is drawn from."""
NumberRange = Annotated[tuple[float, float], Quantity("")]
Numbers = Annotated[tuple[float, ...], Quantity("")]
"""A parenthesised list of plain numbers, `(0.9, 0.95)`."""


RampShape = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, slots=True)
class Ramp:
    """A scalar that moves from `start` to `stop` over training: `0.996 -> 1 cosine`. A plain number is constant."""

    start: float
    stop: float
    shape: RampShape

    @classmethod
    def constant(cls, value: float) -> Ramp:
        return cls(value, value, "constant")


@dataclass(frozen=True, slots=True)
class Clip:
    """The largest norm that a gradient may have: of all parameters together, or of each tensor by itself (DINO)."""

    norm: float
    per_tensor: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """A learning rate: `1.5e-4 per 256` is multiplied by global batch / 256; `per` None is an absolute one."""

    value: float
    per: int | None

    def at_batch(self, batch: int) -> float:
        return self.value if self.per is None else self.value * batch / self.per


@dataclass(frozen=True, slots=True)
class Scalar:
    """A positive number that may be a trained parameter: `0.2` or `learned 0.07`."""

    value: float
    learned: bool


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of training: `10 epochs`, `400k steps`, `50M samples`, or a share of it, `10%` (stored as 0.1)."""

    value: float
    unit: Literal["epochs", "steps", "samples", "%"]


def steps_of(duration: Duration, *, steps_per_epoch: int, batch: int, total: int | None = None) -> int:
    """`duration` in steps, rounded to the nearest; samples are rounded up so that all of them are seen.

    `%` is of `total` steps; raises ValueError for it when `total` is None.
    """
    match duration.unit:
        case "steps":
            return round(duration.value)
        case "epochs":
            return round(duration.value * steps_per_epoch)
        case "samples":
            return math.ceil(duration.value / batch)
        case "%":
            if total is None:
                raise ValueError("a share of training has no length of its own")
            return round(duration.value * total)


def number_text(value: float, unit: str = "") -> str:
    """The shortest decimal text that reads back as `value`: whole numbers without a point, units attached or spaced."""
    scaled = _percent(value) if unit == "%" else value
    text = str(int(scaled)) if scaled == int(scaled) and abs(scaled) < 1e15 else repr(float(scaled))
    text = text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return f"{text} {unit}" if unit in ("epochs", "steps", "samples") else f"{text}{unit}"


def _percent(value: float) -> float:
    """The number of fewest digits that is `value` when divided by 100: 100 * 0.07 is a little more than 7."""
    for digits in range(1, 18):
        candidate = float(f"{value * 100:.{digits}g}")
        if candidate / 100 == value:
            return candidate
    return value * 100


def string_text(value: str) -> str:
    """A string as a recipe writes it, quotes and escapes included."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def ramp_text(ramp: Ramp) -> str:
    """`0.996 -> 1 cosine`, or the number of a constant."""
    if ramp.shape == "constant":
        return number_text(ramp.start)
    return f"{number_text(ramp.start)} -> {number_text(ramp.stop)} {ramp.shape}"


def clip_text(clip: Clip) -> str:
    """`1`, or `3, per tensor`."""
    return f"{number_text(clip.norm)}, per tensor" if clip.per_tensor else number_text(clip.norm)


def rate_text(rate: Rate) -> str:
    """`1.5e-4 per 256`, or an absolute rate."""
    return number_text(rate.value) if rate.per is None else f"{number_text(rate.value)} per {rate.per}"


def scalar_text(scalar: Scalar) -> str:
    """`learned 0.07`, or a fixed number."""
    return f"learned {number_text(scalar.value)}" if scalar.learned else number_text(scalar.value)


def duration_text(duration: Duration) -> str:
    """`10 epochs`, `400 steps`, `10%`."""
    return number_text(duration.value, duration.unit)


def counted(count: int, one: str) -> str:
    """`1 layer`, `3 layers`."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"
