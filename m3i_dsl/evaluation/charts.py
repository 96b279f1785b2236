"""Lines, bars and points as inline SVG.

Takes: numbers. Gives: SVG elements whose colours are CSS variables of the page, so that they follow light, dark and
print. Guarantees: every text is escaped; values that are not finite leave a gap; no scripts, no external resources.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLOURS = 10
"""The page has so many categorical colours, `--c0` to `--c9`."""

POINTS = 300
"""A line is thinned to so many points, each the mean of its neighbours."""


@dataclass(frozen=True, slots=True)
class Curve:
    """y over x, both of the same length, x ascending.

    Curves with the same `name` share an entry of the key; `colour` (default: the place in the panel) and `dashed` tell
    them apart.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A small chart of curves that share their axes.

    `reference` are horizontal lines to compare with, as (y, words). `include` are values that the y axis must reach.
    """

    title: str
    y_label: str
    curves: tuple[Curve, ...]
    x_label: str = "step"
    caption: str = ""
    reference: tuple[tuple[float, str], ...] = ()
    include: tuple[float, ...] = ()


def escape(text: object) -> str:
    """Text for HTML, also inside attributes."""
    return html.escape(str(text), quote=True)


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers that span [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high - low < 1e-12 * max(1.0, abs(low), abs(high)):
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A tick's number with the decimals that its step needs; thousands as `k`, millions as `M`."""
    for scale, suffix in ((1e6, "M"), (1e3, "k")):
        if step >= scale / 10 and abs(value) >= scale:
            return f"{value / scale:.10g}{suffix}"
    if value and step < 1e-4:
        digits = max(1, math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 1)
        return f"{value:.{digits}e}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    decimals += abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6
    return f"{value + 0.0:.{decimals}f}"


def line_chart(panel: Panel, width: int = 340, height: int = 196) -> str:
    """A panel as a figure: title, unit, key (from two curves on), SVG and caption."""
    curves = [_thin(curve) for curve in panel.curves]
    colours = [
        f"var(--c{(index if curve.colour is None else curve.colour) % COLOURS})"
        for index, curve in enumerate(panel.curves)
    ]
    finite_y = [value for _, y in curves for value in y[np.isfinite(y)].tolist()]
    finite_y += [*panel.include, *(value for value, _ in panel.reference)]
    all_x = [value for x, _ in curves for value in x.tolist()]
    y_ticks = nice_ticks(min(finite_y, default=0.0), max(finite_y, default=1.0))
    x_low, x_high = min(all_x, default=0.0), max(all_x, default=1.0)
    x_high = x_high if x_high > x_low else x_low + 1.0
    x_ticks = [tick for tick in nice_ticks(x_low, x_high) if x_low <= tick <= x_high]
    y_texts = [tick_text(tick, y_ticks[1] - y_ticks[0]) for tick in y_ticks]
    left, right, top, bottom = 12 + 6.4 * max(map(len, y_texts)), 10, 8, 36

    def at_x(value: float) -> float:
        return left + (value - x_low) / (x_high - x_low) * (width - left - right)

    def at_y(value: float) -> float:
        return height - bottom - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (height - top - bottom)

    parts: list[str] = []
    for tick, text in zip(y_ticks, y_texts, strict=True):
        y = at_y(tick)
        parts.append(f'<line class="grid" x1="{left:.1f}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    x_step = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1.0
    for tick in x_ticks:
        x, text = at_x(tick), tick_text(tick, x_step)
        anchor = "middle" if x < width - right - 8 else "end"
        y = height - bottom + 15
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>')
    middle = (left + width - right) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{height - 5}" text-anchor="middle">{escape(panel.x_label)}</text>'
    )
    for value, words in panel.reference:
        y = at_y(value)
        at_words = y - 4 if y > top + 12 else y + 12
        parts.append(f'<line class="reference" x1="{left:.1f}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="note" x="{width - right}" y="{at_words:.1f}" text-anchor="end">{escape(words)}</text>'
        )
    for curve, (x, y), colour in zip(panel.curves, curves, colours, strict=True):
        dashed = " dashed" if curve.dashed else ""
        for run in _runs(x, y):
            points = " ".join(f"{at_x(px):.1f},{at_y(py):.1f}" for px, py in run)
            if len(run) == 1:
                px, py = run[0]
                parts.append(f'<circle cx="{at_x(px):.1f}" cy="{at_y(py):.1f}" r="2.5" style="fill:{colour}"/>')
            else:
                parts.append(f'<polyline class="curve{dashed}" points="{points}" style="stroke:{colour}"/>')
        if len(x) and np.isfinite(y[-1]) and len(x) <= 40:
            dots = "".join(
                f'<circle cx="{at_x(px):.1f}" cy="{at_y(py):.1f}" r="2.2"><title>{py:.4g}</title></circle>'
                for px, py in zip(x.tolist(), y.tolist(), strict=True)
                if math.isfinite(py)
            )
            parts.append(f'<g style="fill:{colour}">{dots}</g>')
    entries = dict(zip((curve.name for curve in panel.curves), colours, strict=True))
    names = "".join(f'<span><i style="background:{c}"></i>{escape(name)}</span>' for name, c in entries.items())
    key = f'<div class="key">{names}</div>' if len(entries) > 1 else ""
    caption = f"<figcaption>{escape(panel.caption)}</figcaption>" if panel.caption else ""
    return (
        f'<figure class="panel"><h4>{escape(panel.title)}<small>{escape(panel.y_label)}</small></h4>{key}'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(panel.title)}">{"".join(parts)}</svg>'
        f"{caption}</figure>"
    )


def bar(
    value: float, error: float, kind: str, span: tuple[float, float] = (0.0, 1.0), width: int = 300, height: int = 16
) -> str:
    """A horizontal bar from 0 to `value` on an axis that shows `span`, with a whisker of one standard error.

    `kind` is its CSS class. What leaves the axis is cut off.
    """
    low, high = span

    def at(number: float) -> float:
        return max(0.0, min(1.0, (number - low) / (high - low))) * width

    start, end = sorted((at(0.0), at(value)))
    middle = height / 2
    whisker = (
        f'<path class="whisker" d="M{at(value - error):.1f} {middle}H{at(value + error):.1f}'
        f'M{at(value - error):.1f} {middle - 3}v6M{at(value + error):.1f} {middle - 3}v6"/>'
        if error > 0
        else ""
    )
    return (
        f'<svg class="bar {escape(kind)}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="{width}" height="{height}" rx="2"/>'
        f'<rect class="fill" x="{start:.1f}" width="{end - start:.1f}" height="{height}" rx="2"/>{whisker}</svg>'
    )


def scatter(
    title: str,
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    thumbnails: Sequence[tuple[int, str]] = (),
    size: int = 420,
) -> str:
    """Points [N, 2] coloured by label; each category is named at its median; `thumbnails` are (point, data URI).

    Each axis is stretched to the frame: the axes of such an embedding have no unit.
    """
    margin = 22.0
    low, high = points.min(axis=0), points.max(axis=0)
    placed = margin + (points - low) / np.maximum(high - low, 1e-12) * (size - 2 * margin)
    parts = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" style="fill:var(--c{label % COLOURS})"/>'
        for (x, y), label in zip(placed.tolist(), labels.tolist(), strict=True)
    ]
    side = 26
    for index, uri in thumbnails:
        x, y = placed[index].tolist()
        colour = f"var(--c{int(labels[index]) % COLOURS})"
        box = f'x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side}" height="{side}"'
        parts.append(f'<image {box} href="{uri}"/><rect {box} class="frame" style="stroke:{colour}"/>')
    present = np.unique(labels).tolist()
    if 1 < len(present) <= 2 * COLOURS:  # one category has no others to be told from
        for label in present:
            x, y = np.median(placed[labels == label], axis=0).tolist()
            name = escape(names[label] if label < len(names) else label)
            parts.append(f'<text class="category" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{name}</text>')
    return (
        f'<figure class="cloud"><h4>{escape(title)}</h4><svg viewBox="0 0 {size} {size}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _thin(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most POINTS points, each the mean over a stretch of equal length. A value that is not finite makes a gap."""
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    if len(x) <= POINTS:
        return x, y
    edges = np.linspace(0, len(x), POINTS + 1).astype(int)
    means = [(x[a:b].mean(), y[a:b].mean()) for a, b in itertools.pairwise(edges)]
    thinned = np.asarray(means)
    return thinned[:, 0], thinned[:, 1]


def _runs(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[list[tuple[float, float]]]:
    """The stretches of finite points."""
    runs: list[list[tuple[float, float]]] = [[]]
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(py):
            runs[-1].append((px, py))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
