"""Losses of public libraries beside those of the vocabulary, where the libraries are installed.

Takes: nothing. Gives: for each comparison its name and the largest difference, or why it was left out. Guarantees: no
library is needed; random inputs of a fixed seed, in float64.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from m3i_dsl.modules.normalize import l2, standardize


@dataclass(frozen=True, slots=True)
class Compared:
    """`difference` None: `note` says why."""

    name: str
    library: str
    difference: float | None
    note: str = ""


def _random(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return one, two


def _barlow_twins(library: Any) -> float:
    one, two = _random(32, 16)
    correlation = standardize(one).T @ standardize(two) / len(one)
    off = correlation - torch.diag(correlation.diagonal())
    ours = (1 - correlation.diagonal()).square().sum() + 0.0051 * off.square().sum()
    theirs = library.BarlowTwinsLoss(lambda_param=0.0051)(one, two)
    return abs(float(ours - theirs))


def _vicreg(library: Any) -> float:
    from m3i_dsl.modules.moments import CovariancePenalty, VariancePenalty

    one, two = _random(32, 16)
    ours = 25 * (one - two).square().mean() + VariancePenalty(25)(one, two) + CovariancePenalty(1)(one, two)
    return abs(float(ours - library.VICRegLoss()(one, two)))


def _byol(library: Any) -> float:
    one, two = _random(32, 16)
    ours = (l2(one) - l2(two)).square().sum(dim=1).mean()
    return abs(float(ours - (2 + 2 * library.NegativeCosineSimilarity()(one, two))))


def _clip(library: Any) -> float:
    one, two = _random(32, 16)
    from m3i_dsl.modules.boltzmann import SampleBoltzmann

    ours = SampleBoltzmann(1 / 14.0, symmetric=True).double()(l2(one), l2(two))
    theirs = library.ClipLoss()(l2(one), l2(two), torch.tensor(14.0, dtype=torch.float64))
    return abs(float(ours - theirs))


_COMPARISONS: Mapping[str, tuple[str, Callable[[Any], float]]] = {
    "Barlow Twins": ("lightly.loss", _barlow_twins),
    "VICReg": ("lightly.loss", _vicreg),
    "BYOL": ("lightly.loss", _byol),
    "CLIP": ("open_clip.loss", _clip),
}


def compared() -> list[Compared]:
    """Every comparison, those of missing libraries with a note."""
    found: list[Compared] = []
    for name, (module, measure) in _COMPARISONS.items():
        library = module.partition(".")[0]
        try:
            loaded = importlib.import_module(module)
        except ImportError as fault:
            found.append(Compared(name, library, None, f"left out: {fault.name or library} is not installed"))
        else:
            found.append(Compared(name, library, measure(loaded)))
    return found
