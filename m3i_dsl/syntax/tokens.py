"""The text as tokens, without a grammar.

Takes: any text. Gives: its tokens with their places, comments and newlines included, spaces and tabs left out.
Guarantees: no exception; what no terminal matches becomes a token of kind UNKNOWN or UNCLOSED_STRING; the patterns are
the grammar's own. The splitter, the messages and the formatter read these; the parser has its own contextual lexer.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import grammar


class TokenKind(enum.Enum):
    """What a token is; the last two are of no language."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    SYMBOL = "symbol"
    COMMENT = "comment"
    NEWLINE = "newline"
    UNCLOSED_STRING = "string that is not closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `first` is true for the first token of its line."""

    kind: TokenKind
    text: str
    start: int
    first: bool

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def span(self, file: SourceFile) -> Span:
        return Span(file, self.start, self.end)


_SYMBOLS = ("->", "..", "(", ")", "[", "]", "{", "}", "=", "|", "+", ",", ":", ".")


@functools.cache
def _pattern() -> re.Pattern[str]:
    terminals = {terminal.name: terminal.pattern.to_regexp() for terminal in grammar.parser().terminals}
    alternatives = {
        TokenKind.NEWLINE: terminals["_NEWLINE"],
        TokenKind.COMMENT: terminals["COMMENT"],
        TokenKind.NUMBER: terminals["NUMBER"],
        TokenKind.NAME: terminals["NAME"],
        TokenKind.STRING: terminals["STRING"],
        TokenKind.UNCLOSED_STRING: r'"[^\r\n]*',
        TokenKind.SYMBOL: "|".join(map(re.escape, _SYMBOLS)),
        TokenKind.UNKNOWN: r"[^ \t\f]",
    }
    return re.compile("|".join(f"(?P<{kind.name}>{pattern})" for kind, pattern in alternatives.items()))


def tokenize(text: str) -> list[Token]:
    """All tokens of `text`."""
    return list(tokens_of(text))


def tokens_of(text: str) -> Iterator[Token]:
    """The tokens of `text`, one after the other."""
    first = True
    for match in _pattern().finditer(text):
        assert match.lastgroup is not None
        kind = TokenKind[match.lastgroup]
        yield Token(kind, match.group(), match.start(), first)
        first = kind is TokenKind.NEWLINE
