"""Standard output and standard error while a command runs.

Takes: the streams that the process was given. Gives: streams in their place. Guarantees: no name, path or caption
steers a terminal; text that cannot be written to standard output is `CannotPrint`, never a traceback and never lost
without a word; a standard error that is full or closed ends nothing, as there is nowhere left to say so and a training
has its record.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from m3i_dsl.source.printable import printable, styled

_FIRST_FREE = 3
"""The descriptors below are those of the standard streams."""


class CannotPrint(Exception):
    """Standard output took not all of what was asked for. No OSError: argparse passes over those."""


class ReaderLeft(Exception):
    """Who reads standard output has seen enough (`head`, a pager)."""


class Printed:
    """A text stream that escapes what is written to it; None is one that was closed before the program began."""

    def __init__(self, stream: TextIO | None, escape: Callable[[str], str], *, result: bool) -> None:
        self._stream = stream
        self._escape = escape
        self._result = result

    def write(self, text: str) -> int:
        """Raises CannotPrint and ReaderLeft."""
        self._handed_on(self._escape(text))
        return len(text)

    def verbatim(self, text: str) -> None:
        """A text that programs read: as it is, but on a terminal. Raises as `write`."""
        self._handed_on(self._escape(text) if self.isatty() else text)

    def flush(self) -> None:
        """Raises as `write`."""
        if self._stream is not None:
            self._tried(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    @property
    def encoding(self) -> str | None:
        return None if self._stream is None else self._stream.encoding

    def _handed_on(self, text: str) -> None:
        stream = self._stream
        if stream is not None:
            self._tried(lambda: stream.write(text))
        elif self._result and text:
            raise CannotPrint("standard output is closed: what was asked for is not written")

    def _tried(self, action: Callable[[], object]) -> None:
        assert self._stream is not None
        try:
            action()
        except UnicodeEncodeError as problem:
            letter = problem.object[problem.start : problem.start + 1]
            raise CannotPrint(
                f"standard output is in {problem.encoding}, which does not have `{ascii(letter)[1:-1]}`; "
                "set PYTHONIOENCODING=utf-8"
            ) from None
        except BrokenPipeError:
            _discard(self._stream)
            if self._result:
                raise ReaderLeft from None
        except OSError as problem:
            _discard(self._stream)
            if self._result:
                raise CannotPrint(f"standard output cannot be written: {problem.strerror or problem}") from None

    def __getattr__(self, name: str) -> Any:
        if name == "rich_proxied_file":  # where a rich console writes in place of this stream
            return Printed(self._stream, styled, result=self._result) if self._escape is printable else self
        return getattr(self._stream, name)


@contextmanager
def printed_streams() -> Generator[None]:
    """The standard streams are `Printed` inside. All was handed on when it ends without an exception."""
    given = sys.stdout, sys.stderr
    _reserve()
    sys.stdout = cast(TextIO, Printed(given[0], printable, result=True))
    sys.stderr = cast(TextIO, Printed(given[1], printable, result=False))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = given


def colours_of(stream: TextIO) -> TextIO:
    """The same stream, for text with colours in it that was made printable before."""
    return getattr(stream, "rich_proxied_file", stream)


def verbatim(text: str) -> None:
    """A recipe, a program or a drawing on standard output: not a character is changed, unless a terminal shows it."""
    stream = sys.stdout
    stream.verbatim(text) if isinstance(stream, Printed) else stream.write(text)


def _reserve() -> None:
    """No file that is opened later gets the number of a standard stream that was closed: libraries print to those.

    Raises CannotPrint where not even this file can be opened.
    """
    try:
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
    except OSError as problem:
        raise CannotPrint(f"`{os.devnull}` cannot be opened: {(problem.strerror or str(problem)).lower()}") from problem


def _discard(stream: TextIO) -> None:
    """Python flushes a stream once more when it ends, and would complain of the same fault."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
