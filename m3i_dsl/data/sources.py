"""Opening the sources of a program.

Takes: the typed program and the names of the data that are used. Gives: open datasets. Guarantees: a fault says which
`data` it belongs to, so that it can be shown at the place where the source is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import Dataset, WordError


class SourceFault(WordError):
    """A WordError of the source of `data`, whose argument `argument` is at fault (None: the source itself)."""

    def __init__(self, data: str, message: str, *, argument: str | None = None, help: str | None = None) -> None:
        super().__init__(message, argument=argument, help=help)
        self.data = data


def open_sources(program: Program, names: Iterable[str], base: Path) -> dict[str, Dataset]:
    """The datasets of `names`, opened; paths are relative to `base`. Raises SourceFault."""
    opened: dict[str, Dataset] = {}
    for name in names:
        try:
            opened[name] = program.data[name].source.word.open(base)
        except WordError as fault:
            raise SourceFault(name, fault.message, argument=fault.argument, help=fault.help) from fault
    return opened


def check_batch(data: str, samples: int, batch: int) -> None:
    """Raises SourceFault when the source is smaller than one batch: an epoch would have no step."""
    if samples < batch:
        raise SourceFault(
            data,
            f"data `{data}` has {samples} samples, fewer than a batch of {batch}",
            help=f"write `batch {samples}` or less",
        )
