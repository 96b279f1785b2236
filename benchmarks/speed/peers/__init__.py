"""The same methods in other libraries, run in an environment of their own.

Every file has `MODELS`: by recipe, a function of (size, tokens hidden) that builds a `Handwritten`; the library is
imported at the top of the file, so that its absence shows as an ImportError. `environment.py` makes the environment.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.speed.handwritten.model import Handwritten
from benchmarks.speed.size import Size

PEERS: Mapping[str, str] = {
    "lightly": "lightly",
    "hf_vitmae": "Hugging Face ViTMAE",
    "open_clip": "open_clip",
    "stable_pretraining": "stable-pretraining",
}
"""File and what it is called in tables."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a library has of a recipe."""

    name: str
    build: Callable[[Size, int], Handwritten]


def missing() -> dict[str, str]:
    """Why a peer cannot be run, for those that cannot."""
    reasons: dict[str, str] = {}
    for file, name in PEERS.items():
        try:
            importlib.import_module(f"benchmarks.speed.peers.{file}")
        except Exception as problem:  # a library that is there may fail in any way of its own when it is imported
            reasons[name] = f"{type(problem).__name__}: {problem}".splitlines()[0]
    return reasons


def peers_of(recipe: str) -> Iterator[Peer]:
    """The peers that can be imported and have this recipe."""
    absent = missing()
    for file, name in PEERS.items():
        if name not in absent:
            models = importlib.import_module(f"benchmarks.speed.peers.{file}").MODELS
            if recipe in models:
                yield Peer(name, models[recipe])
