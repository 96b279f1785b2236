"""Boxes, lanes and arrows with their places in pixels, and the sizes of text that they are made for.

Takes: nothing (layout.py makes them). Gives: `Layout` and its parts. Guarantees: plain data; y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TITLE = 13.0
DETAIL = 10.0
LABEL = 10.5
"""Font sizes."""
TITLE_LINE = 17.0
DETAIL_LINE = 12.5
LABEL_LINE = 12.0
MARGIN = 16.0
PADDING_X = 9.0
PADDING_Y = 7.0
CYLINDER = 6.0
"""The height of the lid of a cylinder."""
STOP_LEAD = 20.0
"""How far an arrow with a stopped gradient goes straight, for its mark."""
FOLLOW_X = 20.0
"""Where the arrow to an average leaves its box, from the left."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its rectangle, and its details as they are broken into lines."""

    x: float
    y: float
    width: float
    height: float
    details: tuple[str, ...]

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Label:
    """The text of an arrow: its first line starts, or ends, at `x` on baseline `y`; its lines are LABEL_LINE apart."""

    x: float
    y: float
    anchor: Literal["start", "end"]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow through `points`: an S between two points of a `curved` one that differ in height, else straight."""

    points: tuple[Point, ...]
    label: Label | None = None
    curved: bool = True


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A lane."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """`headings` are (middle, text); `routes` are in the order of the drawing's edges."""

    boxes: dict[str, Box]
    routes: tuple[Route, ...]
    lanes: dict[str, Rectangle]
    headings: tuple[tuple[float, str], ...]
    width: float
    height: float
