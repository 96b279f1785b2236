"""Views: pipelines of transforms."""

from __future__ import annotations

from hypothesis import strategies as st

_FIRST = ("resize({size}px)", "crop({size}px)", "crop({size}px, scale: 40%..100%)", "center crop({size}px)")
_LATER = ("flip", "grayscale", "jitter(p: 80%)", "blur(p: 12.5%)", "solarize", "three augment")


@st.composite
def views(draw: st.DrawFn, size: int = 32) -> str:
    """`crop(32px) | flip`: what a view of `size` x `size` pixels is made by. Shrinks to `resize`."""
    first = draw(st.sampled_from(_FIRST)).format(size=size)
    return " | ".join([first, *draw(st.lists(st.sampled_from(_LATER), max_size=2, unique=True))])
