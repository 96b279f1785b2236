"""Sums that do not depend on the order of their terms.

Takes: the terms that each process has, and a bound. Gives: their sum. Guarantees: equal bytes for any number of
processes and any distribution of the terms over them: the sum is one of whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from m3i_dsl.vocabulary.kinds import Team

BITS = 61


def exact_sum(team: Team, terms: Iterable[Tensor], bound: Tensor) -> Tensor:
    """f64 [...], the sum of all terms of all processes, each rounded to a multiple of `bound` / 2^61.

    `bound` f64 [...] is at least the sum of the terms' absolute values, in every entry. The error of n terms is at most
    n / 2^62 of it, less than what float64 would lose.
    """
    unit = 2.0**BITS / bound.clamp_min(torch.finfo(torch.float64).tiny * 2.0**BITS)
    total = torch.zeros(bound.shape, dtype=torch.int64, device=bound.device)
    for term in terms:
        total += (term * unit).round().to(torch.int64)
    return team.total(total).double() / unit
