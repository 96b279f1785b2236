"""Opening the sources of a program.

Takes: the typed program and the names of the data that are used. Gives: open datasets. Guarantees: a fault says which
`data` it belongs to, so that it can be shown at the place where the source is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path

from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, WordError


class SourceFault(WordError):
    """A WordError of the source of `data`, whose argument `argument` is at fault (None: the source itself)."""

    def __init__(self, data: str, message: str, *, argument: str | None = None, help: str | None = None) -> None:
        super().__init__(message, argument=argument, help=help)
        self.data = data


class Exhausted(SourceFault):
    """A source of which no sample can be read any more."""


def open_sources(program: Program, names: Iterable[str], base: Path) -> dict[str, Dataset]:
    """The datasets of `names`, opened; paths are relative to `base`. Raises SourceFault."""
    opened: dict[str, Dataset] = {}
    for name in names:
        with opening(name):
            opened[name] = program.data[name].source.word.open(base)
    return opened


@contextlib.contextmanager
def opening(data: str) -> Generator[None]:
    """Around whatever opens the source of `data`: its faults, and those of the files below it, are a SourceFault."""
    try:
        yield
    except SourceFault:
        raise
    except WordError as fault:
        raise SourceFault(data, fault.message, argument=fault.argument, help=fault.help) from fault
    except BrokenSample as fault:
        raise SourceFault(data, f"data `{data}` cannot be opened: {fault}") from fault
    except OSError as fault:
        reason = fault.strerror or str(fault)
        where = f" ({fault.filename})" if fault.filename else ""
        raise SourceFault(data, f"data `{data}` cannot be read: {reason}{where}") from fault


def check_batch(data: str, samples: int, batch: int) -> None:
    """Raises SourceFault when the source is smaller than one batch: an epoch would have no step."""
    if samples < batch:
        raise SourceFault(
            data,
            f"data `{data}` has {samples} samples, fewer than a batch of {batch}",
            help=f"write `batch {samples}` or less",
        )
