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
from m3i_dsl.vocabulary.registry import WRITTEN, words
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
        "loss": "distribution",
        "head": "predictor",
        "rate": "lr",
        "learning rate": "lr",
        "wd": "weight_decay",
        "depth": "layers",
        "num layers": "layers",
        "num heads": "heads",
        "dim": "width",
        "embed dim": "width",
        "patch size": "patch",
        "img size": "image",
        "image size": "image",
        "tau": "temperature",
        "temp": "temperature",
        "lambda": "weight",
        "yes": "true",
        "on": "true",
        "no": "false",
        "off": "false",
    }
)
"""What papers and other libraries call words of this language; offered only where the word is legal."""


ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "lr": "it is an argument of the optimizer: `optimizer adamw(lr: 1e-3)`",
        "learning_rate": "it is an argument of the optimizer: `optimizer adamw(lr: 1e-3)`",
        "weight_decay": "it is an argument of the optimizer: `optimizer adamw(weight_decay: 0.05, ...)`",
        "betas": "it is an argument of the optimizer: `optimizer adamw(betas: (0.9, 0.95), ...)`",
        "warmup": "it follows the length: `epochs 10, warmup 10%`",
        "mask": "it belongs to the input: `input masked VIEW by random(75%)`",
        "by": "it belongs to the input: `input masked VIEW by random(75%)`",
        "mix": "it is an input: `input mix(VIEW of first, VIEW of second, by: blocks(50%))`",
        "encoder": "it is named behind `of`: `dense feature of ENCODER`",
        "temperature": "it is an argument of the distribution: `distribution boltzmann(temperature: 0.1)`",
        "momentum": "it is an argument of the average: `encoder NAME = ema of ENCODER(0.996 -> 1 cosine)`",
        "device": "where a recipe runs is not part of it: `m3ic train --device`",
        "workers": "how data is loaded is not part of a recipe",
        "world_size": "where a recipe runs is not part of it; `batch` is the batch of all processes together",
    }
)
"""Where to write what is no setting of a block, by the keyword that people try."""


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
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if len(close) > 1 and _likeness(name, close[0]) == _likeness(name, close[1]):
        return None  # `view3` between `view1` and `view2`: one is as good as the other
    return close[0] if close else None


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, name).ratio()


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
    """Writes the nearest legal name in place of `name`.

    It is safe for a misspelt word, not for names that differ in a number: `view3` may be missing, rather than `view1`
    misspelt.
    """
    near = nearest(name, legal)
    return None if near is None else Fix(span, near, safe=_digits(name) == _digits(near))


def _digits(name: str) -> str:
    return "".join(character for character in name if character.isdigit())


def kinds_of(name: str) -> tuple[Kind, ...]:
    """The kinds of which a recipe may write a word called `name`."""
    return tuple(kind for kind in WRITTEN if name in words(kind))
