"""Numbers as a person reads them.

Takes: seconds, bytes and series. Gives: short text. Guarantees: torch is not imported, so
that `m3ic runs` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "".join(chr(0x2581 + height) for height in range(8))  # block elements, lowest first


def duration(seconds: float) -> str:
    """`2d3h`, `1h05m`, `3m20s`, `12s`; `?` while it is not known."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """The values as bars of eight heights; the means of groups when there are more than `width`."""
    size = max(1, -(-len(values) // width))
    means = [sum(group) / len(group) for group in (values[i : i + size] for i in range(0, len(values), size))]
    if not means:
        return ""
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in means)


def size(count: int) -> str:
    """Bytes: `1.4 GiB`, `312 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def times(count: int) -> str:
    """`once`, `2 times`."""
    return "once" if count == 1 else f"{count} times"
