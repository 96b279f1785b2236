"""Whose fault an exception is, when a word of another package raised it.

Takes: an exception. Gives: the package, the word and the line. Guarantees: the innermost code of a package with words
that the exception went through is blamed; what m3ic itself raises is nobody else's fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType

from m3i_dsl.vocabulary.kept import WrongResult
from m3i_dsl.vocabulary.packages import Package, package_of
from m3i_dsl.vocabulary.word import Word

WORD_RAISED = "M3I0902"


@dataclass(frozen=True, slots=True)
class Blame:
    """`word` is the one whose method ran; None in code that it called (a module, a data set) and that outlived it."""

    package: Package
    word: Word | None
    place: str
    fault: BaseException

    @property
    def message(self) -> str:
        """What happened, in one line that names the word, the package and the exception."""
        word = "code" if self.word is None else f"{self.word.kind} `{self.word.name}`"
        said = str(self.fault).strip().partition("\n")[0]
        if isinstance(self.fault, WrongResult):
            return f"{word} of {self.package}: {said}"
        return f"{word} of {self.package} raised {type(self.fault).__name__}{f': {said}' if said else ''}"

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{'returned' if isinstance(self.fault, WrongResult) else 'raised'} in {self.place}",)

    @property
    def help(self) -> str:
        return f"report it to the authors of `{self.package.name}`; `--debug` shows the traceback"


def blame(fault: BaseException) -> Blame | None:
    """Who is to blame for `fault`; None when no code of a package with words ran, or m3ic meant to raise it."""
    if isinstance(fault, WrongResult):
        package = package_of(type(fault.owner).__module__)
        place = f"{os.path.basename(fault.code.co_filename)}:{fault.code.co_firstlineno}"
        return (
            None
            if package is None
            else Blame(package, fault.owner if isinstance(fault.owner, Word) else None, place, fault)
        )
    if type(fault).__module__.partition(".")[0] == "m3i_dsl":
        return None
    found: Blame | None = None
    word: Word | None = None
    for frame, line in _frames(fault.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, Word):
            word = owner
        package = package_of(str(frame.f_globals.get("__name__", "")))
        if package is not None:
            same = word is not None and package_of_word(word) == package
            place = f"{os.path.basename(frame.f_code.co_filename)}:{line}"
            found = Blame(package, word if same else None, place, fault)
    return found


def package_of_word(word: Word) -> Package | None:
    """The package that a word is of; None for m3ic's own."""
    return package_of(type(word).__module__)


def named(word: Word) -> str:
    """A word in a message, with its package when that is another."""
    package = package_of_word(word)
    return f"`{word.name}`" if package is None else f"`{word.name}` of {package}"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next
