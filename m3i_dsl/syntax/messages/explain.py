"""From a statement that does not parse to its diagnostic. See the package's docstring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lark import TextSlice
from lark.exceptions import UnexpectedInput, UnexpectedToken

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import grammar
from m3i_dsl.syntax.keywords import DECLARATIONS
from m3i_dsl.syntax.messages import characters, statements, values
from m3i_dsl.syntax.messages.situation import VALUE_STARTS, Situation
from m3i_dsl.syntax.tokens import Token, TokenKind

Rule = Callable[[Situation], Diagnostic | None]

RULES: tuple[Rule, ...] = (
    *characters.RULES,
    *values.NUMBER_RULES,
    *statements.RULES,
    *values.RULES,
)
"""In order: the first that applies speaks."""


def explain(file: SourceFile, tokens: Sequence[Token], start: str) -> Diagnostic | None:
    """What is wrong with the statement made of `tokens` (see `recovery`), or None if it parses as `start`."""
    situation = _situation(file, [token for token in tokens if token.kind is not TokenKind.COMMENT], start)
    if situation is None:
        return None
    for rule in RULES:
        diagnostic = rule(situation)
        if diagnostic is not None:
            return diagnostic
    return situation.error("M3I0001", f"expected {expected(situation)}, found {situation.found}")


def _situation(file: SourceFile, tokens: Sequence[Token], start: str) -> Situation | None:
    """Parses again, token by token, up to the first that is not accepted."""
    first, last = (tokens[0].start, tokens[-1].end) if tokens else (0, 0)
    interactive = grammar.parser().parse_interactive(TextSlice(file.text, first, last), start=start)
    try:
        interactive.exhaust_lexer()
        interactive.feed_eof()
    except UnexpectedInput as fault:
        # The place and the accepted terminals only: lark's own texts name terminals.
        offset = fault.token.start_pos if isinstance(fault, UnexpectedToken) else fault.pos_in_stream
        if isinstance(fault, UnexpectedToken) and fault.token.type == "$END":
            offset = None
        index = len(tokens) if offset is None else _index_at(tokens, offset)
        return Situation(file, tokens, index, frozenset(interactive.accepts()))
    return None


def _index_at(tokens: Sequence[Token], offset: int) -> int:
    """The token at `offset`, or the first after it."""
    return next((index for index, token in enumerate(tokens) if offset < token.end), len(tokens))


_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "DURATION": "a unit",
    "_NEWLINE": "the end of the line",
    "$END": "the end of the text",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "EQUAL": "`=`",
    "VBAR": "`|`",
    "PLUS": "`+`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "DOT": "`.`",
    "DOTDOT": "`..`",
    "ARROW": "`->`",
}


def expected(situation: Situation) -> str:
    """What the parser would have accepted, in words, the most likely first."""
    accepts = set(situation.accepts)
    words: list[str] = []
    if accepts >= VALUE_STARTS:
        words.append("a value")
        accepts -= VALUE_STARTS
    declarations = accepts & declaration_terminals()
    if len(declarations) > 2:
        words.append("a declaration")
        accepts -= declarations
    if {"_NEWLINE", "COMMA"} & accepts or {"RPAR"} & accepts:
        # After a complete value: what may follow it is more telling than everything that could still belong to it.
        accepts &= {"_NEWLINE", "COMMA", "RPAR"}
    words += [_WORDS.get(terminal, f"`{terminal.strip('_').lower()}`") for terminal in sorted(accepts)]
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)


def declaration_terminals() -> frozenset[str]:
    """The terminals that open a declaration."""
    return frozenset(f"_{word.upper()}" for word in DECLARATIONS)
