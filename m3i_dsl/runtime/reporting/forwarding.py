"""Python warnings of ranks that show nothing.

Takes: a function that brings a line to the user. Gives: a context in which `warnings.warn` calls it. Guarantees: what
the filters of Python's warnings keep back is kept back here too; afterwards warnings go where they went before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def forwarded_warnings(say: Callable[[str], None]) -> Generator[None]:
    """`say` is given `UserWarning: what was said` in one line, without its place."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        say(f"{category.__name__}: {' '.join(str(message).split())}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
