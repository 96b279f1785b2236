"""Masks: any word that hides tokens of a square grid."""

from __future__ import annotations

from typing import Literal

from hypothesis import strategies as st


@st.composite
def masks(draw: st.DrawFn, tokens: Literal["drop", "mask"] | None = None, *, side: int = 4, patch: int = 8) -> str:
    """`random(50%, tokens: drop)`: a mask that fits a grid of `side` x `side` tokens of `patch` pixels, side >= 3.

    `tokens` None draws whether hidden tokens are dropped. Shrinks to `random(50%)`, dropping.
    """
    if side < 3:
        raise ValueError("a grid for masks has at least 3 x 3 tokens")
    share = draw(st.sampled_from((50, 75, 60)))
    match draw(st.sampled_from(("random", "blocks", "inverse blocks", "grid"))):
        case "random":
            shape = f"random({share}%"
        case "blocks":
            shape = f"blocks({share}%, minimum: {draw(st.integers(1, min(4, side * side // 4)))}"
        case "inverse blocks":
            shape = f"inverse blocks({share}%, block: {draw(st.integers(2, 3))}"
        case _:
            double = side % 2 == 0 and draw(st.booleans())
            shape = f"grid({share}%, cell: {patch * (2 if double else 1)}px"
    how = tokens or draw(st.sampled_from(("drop", "mask")))
    return f"{shape}, tokens: {how})"
