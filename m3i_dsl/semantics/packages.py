"""Words of other packages in a program: which packages, and whose fault a fault is.

Takes: a program or the words bound so far, and an exception. Gives: a diagnostic at the word that names word and
package. Guarantees: a fault of m3ic itself is passed on as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from m3i_dsl.diagnostics import Diagnostic, RecipeError, error
from m3i_dsl.semantics.program import Placed, Program
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.word import Word

if TYPE_CHECKING:
    from m3i_dsl.vocabulary.blame import Blame


def word_raised(fault: Exception, placed: Iterable[Placed[Word]], otherwise: Span) -> Diagnostic | None:
    """The diagnostic of `fault` if code of a package with words raised it; at `otherwise` when no word of `placed` did.

    None when m3ic did.
    """
    from m3i_dsl.vocabulary.blame import WORD_RAISED, blame  # nobody is blamed for a recipe that is checked

    blamed = blame(fault)
    if blamed is None:
        return None
    span = next((p.span for p in placed if _is_blamed(p.word, blamed)), otherwise)
    return error(WORD_RAISED, blamed.message, span, notes=blamed.notes, helps=(blamed.help,))


@contextmanager
def calling_words(*programs: Program) -> Generator[None]:
    """Where words of programs are called: what one of another package raises by mistake is a RecipeError (M3I0902)."""
    try:
        yield
    except RecipeError:
        raise
    except Exception as fault:
        placed = [each for program in programs for each in placed_words(program)]
        raised = word_raised(fault, placed, programs[0].span)
        if raised is None:
            raise
        raise RecipeError([raised]) from fault


def misstated_shape(word: Word | None, said: str, program: Program) -> Diagnostic | None:
    """M3I0404, at the word of a package whose module yields another type than it says; None for a word of m3ic."""
    from m3i_dsl.vocabulary.blame import package_of_word

    package = None if word is None else package_of_word(word)
    if word is None or package is None:
        return None
    span = next((p.span for p in placed_words(program) if word in words_in(p.word)), program.span)
    message = f"the module of {word.kind} `{word.name}` of {package} yields something else than the word says"
    help_ = f"report it to the authors of `{package.name}`"
    return error("M3I0404", message, span, notes=(said,), helps=(help_,))


def _is_blamed(word: Word, blamed: Blame) -> bool:
    return any(inner == blamed.word for inner in words_in(word))


def words_in(word: Word) -> Iterator[Word]:
    """`word`, and the words that it is made of."""
    yield word
    for inner in word.inner():
        yield from words_in(inner)


def placed_words(program: Program) -> list[Placed[Word]]:
    """Every word of a program with its place, each once."""
    found: dict[int, Placed[Word]] = {}
    seen: set[int] = set()

    def visit(value: Any) -> None:
        if isinstance(value, Placed):
            found.setdefault(id(value), cast(Placed[Word], value))
        elif isinstance(value, Mapping):
            for item in cast(Mapping[Any, Any], value).values():
                visit(item)
        elif isinstance(value, tuple):
            for item in cast(tuple[Any, ...], value):
                visit(item)
        elif dataclasses.is_dataclass(value) and not isinstance(value, Span | SourceFile) and id(value) not in seen:
            seen.add(id(value))
            for field in dataclasses.fields(value):
                visit(getattr(value, field.name))

    visit(program)
    return list(found.values())


def packages_used(program: Program) -> tuple[str, ...]:
    """The names of the packages besides m3ic whose words a program has, sorted."""
    from m3i_dsl.vocabulary.blame import package_of_word

    used = {package_of_word(word) for placed in placed_words(program) for word in words_in(placed.word)}
    return tuple(sorted(package.name for package in used if package is not None))
