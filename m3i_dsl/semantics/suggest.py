"""Help for names that are not known in their position.

Takes: a name and the names that would be legal there. Gives: the nearest one, a help line, and a replacement that is
safe to apply. Guarantees: only names that are legal in that very position are offered.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from m3i_dsl.diagnostics import Fix
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.registry import KINDS, words
from m3i_dsl.vocabulary.word import Kind

FEW = 8
"""A list of so many names is shown; a longer one is left to `m3ic vocab`."""

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        "mse": "gaussian",
        "l2": "gaussian",
        "squared error": "gaussian",
        "l1": "laplace",
        "smooth l1": "huber",
        "infonce": "boltzmann",
        "info nce": "boltzmann",
        "softmax": "boltzmann",
        "cross entropy": "boltzmann",
        "bce": "bernoulli",
        "detach": "stop gradient",
        "stopgrad": "stop gradient",
        "barlow": "decorrelation",
        "negatives": "negative samples",
        "in batch negatives": "negative samples",
        "patches": "dense feature",
        "class token": "global feature",
        "pixels": "dense pixels",
        "random resized crop": "crop",
        "horizontal flip": "flip",
        "color jitter": "jitter",
        "gaussian blur": "blur",
        "centre crop": "center crop",
        "cls": "class",
        "avg": "mean",
        "gap": "mean",
        "adam": "adamw",
        "linear probe": "linear",
        "k nn": "knn",
    }
)
"""What papers and other libraries call words of this language; offered only where the word is legal."""


def nearest(name: str, legal: Iterable[str]) -> str | None:
    """The legal name that was probably meant."""
    names = list(legal)
    spaced = name.replace("_", " ").lower()
    meant = ALSO_CALLED.get(spaced)
    if meant in names:
        return meant
    for candidate in names:
        if candidate.replace("_", " ") == spaced:
            return candidate
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)


def help_for(name: str, legal: Iterable[str], *, otherwise: str = "") -> tuple[str, ...]:
    """`did you mean`, or all legal names when they are few, or `otherwise`."""
    names = list(legal)
    near = nearest(name, names)
    if near is not None:
        return (f"did you mean `{near}`?",)
    if names and len(names) <= FEW:
        return ("known here: " + ", ".join(f"`{known}`" for known in names),)
    return (otherwise,) if otherwise else ()


def fix_for(name: str, span: Span, legal: Iterable[str]) -> Fix | None:
    """Writes the nearest legal name in place of `name`."""
    near = nearest(name, legal)
    return None if near is None else Fix(span, near)


def kinds_of(name: str) -> tuple[Kind, ...]:
    """The kinds that have a word called `name`."""
    return tuple(kind for kind in KINDS if name in words(kind))
