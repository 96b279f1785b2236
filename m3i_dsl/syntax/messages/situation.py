"""Where the parser stopped, and what is around.

Takes: the tokens of one statement, the index of the bad one, and the terminals that the parser would have accepted.
Gives: what the rules ask for: the token before, the open brackets, the block, the start of the statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from m3i_dsl.diagnostics import Diagnostic, Fix, Label, error
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax.keywords import CLAUSES
from m3i_dsl.syntax.recovery import CONTINUATIONS
from m3i_dsl.syntax.tokens import Token, TokenKind

VALUE_STARTS = frozenset({"NAME", "NUMBER", "STRING", "LPAR"})


@dataclass(frozen=True, slots=True)
class GrammarPlace:
    """The structure around a token: open brackets, the blocks they open, and where its statement starts."""

    brackets: tuple[Token, ...]
    blocks: tuple[str, ...]
    statement: int


@dataclass(frozen=True)
class Situation:
    """`tokens` are those of one top-level statement without comments; `index` is that of the bad one (or `len`)."""

    file: SourceFile
    tokens: Sequence[Token]
    index: int
    accepts: frozenset[str]

    @property
    def bad(self) -> Token | None:
        """The token that the parser did not accept; None where the line or the text ends instead."""
        return None if self.at_end else self.tokens[self.index]

    @cached_property
    def at_end(self) -> bool:
        """The line, the text or the block ends where the parser wanted more."""
        if self.index >= len(self.tokens) or self.tokens[self.index].kind is TokenKind.NEWLINE:
            return True
        return self.tokens[self.index].text == "}" and self.bracket == "{"

    @cached_property
    def before(self) -> tuple[Token, ...]:
        """The tokens before the bad one, without newlines."""
        return tuple(token for token in self.tokens[: self.index] if token.kind is not TokenKind.NEWLINE)

    @property
    def previous(self) -> Token | None:
        return self.before[-1] if self.before else None

    @property
    def following(self) -> Token | None:
        """The token after the bad one on the same line."""
        after = self.index + 1
        if after >= len(self.tokens) or self.tokens[after].kind is TokenKind.NEWLINE:
            return None
        return self.tokens[after]

    @cached_property
    def place(self) -> GrammarPlace:
        return place_of(self.tokens, self.index)

    @property
    def bracket(self) -> str | None:
        """The innermost open bracket."""
        return self.place.brackets[-1].text if self.place.brackets else None

    @property
    def block(self) -> str | None:
        """The innermost block: "objective", "target", "train", "evaluate"; None at the top level."""
        return self.place.blocks[-1] if self.place.blocks else None

    @property
    def statement(self) -> tuple[Token, ...]:
        """The tokens of the bad token's own statement before it, without newlines."""
        return tuple(t for t in self.tokens[self.place.statement : self.index] if t.kind is not TokenKind.NEWLINE)

    @property
    def rest_of_line(self) -> tuple[Token, ...]:
        """The bad token and those after it on the line."""
        rest: list[Token] = []
        for token in self.tokens[self.index :]:
            if token.kind is TokenKind.NEWLINE:
                break
            rest.append(token)
        return tuple(rest)

    @property
    def starts_statement(self) -> bool:
        return self.index == self.place.statement

    def only(self, *terminals: str) -> bool:
        """Whether these, and no others, may stand here."""
        return self.accepts == frozenset(terminals)

    @property
    def takes_value(self) -> bool:
        """Whether any value may stand here."""
        return self.accepts >= VALUE_STARTS

    @property
    def clauses(self) -> tuple[str, ...]:
        """The words of the grammar that may stand here."""
        return tuple(word for terminal, word in CLAUSES.items() if terminal in self.accepts)

    def touches_previous(self) -> bool:
        """No space between the bad token and the one before it."""
        return self.bad is not None and self.previous is not None and self.previous.end == self.bad.start

    # --- what rules say -----------------------------------------------------------------------------------------------

    @property
    def span(self) -> Span:
        """The bad token; where the line ends instead, the place just after the last token."""
        if self.bad is not None:
            return self.bad.span(self.file)
        return self.after_previous

    @property
    def after_previous(self) -> Span:
        end = self.previous.end if self.previous else 0
        return Span(self.file, end, end)

    @property
    def found(self) -> str:
        """The bad token as a message names it."""
        if self.bad is not None:
            return quoted(self.bad)
        if self.index == len(self.tokens):
            return "the end of the text"
        return "`}`" if self.tokens[self.index].text == "}" else "the end of the line"

    def error(
        self,
        code: str,
        message: str,
        label: str = "",
        *,
        span: Span | None = None,
        secondary: Iterable[Label] = (),
        notes: Iterable[str] = (),
        helps: Iterable[str] = (),
        fix: Fix | None = None,
    ) -> Diagnostic:
        return error(
            code,
            message,
            self.span if span is None else span,
            label,
            secondary=secondary,
            notes=notes,
            helps=helps,
            fix=fix,
        )


def quoted(token: Token) -> str:
    """A token in backticks, cut when it is long."""
    text = token.text if len(token.text) <= 24 else token.text[:21] + "..."
    return f"`{text}`"


def place_of(tokens: Sequence[Token], index: int) -> GrammarPlace:
    """The structure around `tokens[index]`; stray closing brackets are passed over."""
    brackets: list[Token] = []
    blocks: list[str] = []
    statement, continued, depth = 0, False, 0
    for position, token in enumerate(tokens[:index]):
        if token.kind is TokenKind.NEWLINE:
            if depth == 0 and not continued:
                statement = position + 1
            continue
        continued = token.text in CONTINUATIONS
        if token.text == "(":
            brackets.append(token)
            depth += 1
        elif token.text == ")" and depth:
            brackets.pop()
            depth -= 1
        elif token.text == "{":
            blocks.append(tokens[statement].text)
            brackets.append(token)
            statement, depth = position + 1, 0
        elif token.text == "}" and blocks:
            while brackets.pop().text != "{":
                depth = 0
            blocks.pop()
            statement = position + 1
    return GrammarPlace(tuple(brackets), tuple(blocks), min(statement, index))
