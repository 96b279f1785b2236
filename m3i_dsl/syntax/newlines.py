"""Which newlines end a statement.

Takes: the lexer's tokens. Gives: the same tokens without the newlines that end nothing, and with the ones that may be
left out (before `}` and at the end of the text). Guarantees: the parser sees one newline after each statement.
"""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token

NEWLINE = "_NEWLINE"

CONTINUES = frozenset({"VBAR", "PLUS", "COMMA", "EQUAL", "ARROW", "DOTDOT", "LBRACE"})
"""A statement goes on on the next line after these."""


class StatementNewlines:
    """A lark post-lexer. Without state of its own: one instance serves every parse."""

    always_accept = (NEWLINE, "RBRACE")
    """Lexed in every parser state: a newline may be one to drop, and `}` may need a newline before it."""

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        previous: Token | None = None
        for token in stream:
            if token.type == "LPAR":
                depth += 1
            elif token.type == "RPAR":
                depth = max(0, depth - 1)
            ends_nothing = previous is None or previous.type == NEWLINE or previous.type in CONTINUES
            if token.type == NEWLINE and (depth > 0 or ends_nothing):
                continue
            if token.type == "RBRACE" and previous is not None and not ends_nothing:
                yield _newline_after(previous)
            yield token
            previous = token
        if previous is not None and previous.type != NEWLINE:
            yield _newline_after(previous)


def _newline_after(token: Token) -> Token:
    return Token(NEWLINE, "", start_pos=token.end_pos, end_pos=token.end_pos)
