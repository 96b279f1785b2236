"""Mixture: every source has a whole number of pairs in every batch."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.pattern import PAIR, fitting_parts, nearest_shares
from m3i_dsl.semantics.program import Mixture, Program

CLOSE = 0.02
"""Shares that are suggested in place of others differ by less, if a batch has such."""


def check_mixture(program: Program) -> Iterator[Diagnostic]:
    """M3I0324 for each mixture that a batch cannot hold exactly."""
    read = program.shown
    for mixture in program.mixtures.values():
        batch, period = program.training.batch, mixture.pattern.period
        if mixture.name in read and batch % period:
            yield error(
                "M3I0324",
                f"a batch of {batch} cannot hold the shares of `{mixture.name}` in whole pairs of samples",
                program.training.settings["batch"],
                secondary=(Label(mixture.place, f"every {period} samples have these shares"),),
                helps=(f"write {_batches(batch, period)}", *_other_shares(mixture, batch)),
            )


def _batches(batch: int, period: int) -> str:
    below, above = batch // period * period, -(-batch // period) * period
    return f"`batch {below}` or `batch {above}`" if below else f"`batch {above}`"


def _other_shares(mixture: Mixture, batch: int) -> Iterator[str]:
    """Shares close to those of the mixture that the batch can hold: the simplest ones, or else the closest."""
    wanted = {share.data.name: share.part for share in mixture.shares}
    found: dict[str, int] | None = None
    for parts in fitting_parts(batch):
        numbers = nearest_shares(wanted, parts)
        if numbers is not None:
            found = numbers
            if max(abs(numbers[name] / parts - float(part)) for name, part in wanted.items()) < CLOSE:
                break
    if found is not None:
        text = ", ".join(f"{name}: {number}" for name, number in found.items())
        yield f"or `mixture({text})`, shares of {_listed(found)}"
    elif batch % PAIR:
        yield "an odd batch has no whole pairs"


def _listed(numbers: dict[str, int]) -> str:
    total = sum(numbers.values())
    return " and ".join(f"{100 * number / total:.3g}%" for number in numbers.values())
