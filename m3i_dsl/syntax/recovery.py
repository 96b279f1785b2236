"""Where one declaration ends and the next begins, in a text that does not parse.

Takes: the tokens of a file. Gives: blocks, one for each top-level statement, each with the fault of its brackets, if
any. Guarantees: every token but comments and newlines before the first statement lies in exactly one block; a bracket
that is not closed does not swallow the declarations after it, and is reported where it was opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax.keywords import (
    DECLARATIONS,
    FOREIGN_DECLARATIONS,
    STAGED,
    closest,
    home_of,
    looks_like_declaration,
)
from m3i_dsl.syntax.tokens import Token, TokenKind

CONTINUATIONS = frozenset({"|", "+", ",", "=", "->", ".."})
_PAIRS = {"(": ")", "{": "}"}
_TOP = (*STAGED, "stage")


@dataclass(slots=True)
class Block:
    """One top-level statement: its tokens up to the next one. `stray`: its first word opens no declaration."""

    tokens: list[Token]
    stray: bool = False
    fault: Diagnostic | None = None


@dataclass(slots=True)
class _Open:
    """A bracket that is open, and the first token of its line. `missing`: a block's head whose `{` was left out."""

    token: Token
    line_first: Token
    missing: bool = False


@dataclass(slots=True)
class _Splitter:
    file: SourceFile
    tokens: Sequence[Token]
    blocks: list[Block] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    suspicion: tuple[Token, Token] | None = None
    """The first `{` in this block that a `}` further left than its line closed, and that `}`."""

    def split(self) -> list[Block]:
        closed = _closed_openers(self.tokens)
        line: list[Token] = []
        for index, token in enumerate(self.tokens):
            if token.kind in (TokenKind.NEWLINE, TokenKind.COMMENT):
                if self.blocks:
                    self.blocks[-1].tokens.append(token)
                if token.kind is TokenKind.NEWLINE:
                    self._line_end(line, index)
                    line = []
                continue
            line.append(token)
            if len(line) == 1:
                self._line_start(index, closed)
            elif not self.stack and token.text == "}":
                self._stray()
            if not self.blocks:
                self._begin(stray=True)
            self.blocks[-1].tokens.append(token)
            if not self._misplaced_close(index, line[0]):
                self._bracket(token, line[0])
        self._end_block()
        return self.blocks

    def _begin(self, *, stray: bool) -> None:
        self._end_block()
        self.blocks.append(Block([], stray))

    def _stray(self) -> None:
        """What opens no declaration: one block, however many lines there are of it."""
        if not self.blocks or not self.blocks[-1].stray:
            self._begin(stray=True)

    def _end_block(self) -> None:
        """What is still open in the last block stays open for good."""
        if self.stack and not self.stack[-1].missing:
            self._unclosed(self.stack[-1].token)
        self.stack.clear()
        self.suspicion = None

    def _line_start(self, index: int, closed: frozenset[int]) -> None:
        token = self.tokens[index]
        words = [following.text for following in self.tokens[index : index + 3]]
        sure = looks_like_declaration(words)
        if self.stack:
            sure |= self.stack[0].missing and self._unindented_keyword(token)
            if sure and token.text in STAGED and self._in_stage and self._column(token) > 1:
                self._next_of_block(closed, 1)
            elif sure and (self.stack[0].token.text == "(" or self.stack[0].token.start not in closed):
                self._begin(stray=False)
            elif words[0] == "target" and len(words) == 3 and words[2] == "{":
                self._next_of_block(closed, 2 if self._in_stage else 1)
            return
        if token.text == "}":
            self._stray()
            return
        if token.kind is not TokenKind.NAME:
            joins = token.kind is TokenKind.SYMBOL and token.text != "{"
            opens_nothing = not joins and not self._continued() and not self._headless_brace(token)
            if opens_nothing:
                self._stray()
            return
        if sure or not self._continued() or self._unindented_keyword(token):
            setting = home_of(token.text) is not None
            after_stray = bool(self.blocks) and self.blocks[-1].stray
            known = token.text in DECLARATIONS and (sure or not (setting and after_stray))
            guess = token.text in FOREIGN_DECLARATIONS or closest(token.text, DECLARATIONS) is not None
            assigned = words[1:2] == ["="]
            if known or assigned or (guess and not setting) or not after_stray:
                self._begin(stray=not known)

    def _line_end(self, line: Sequence[Token], newline: int) -> None:
        """`train` alone on its line: the statements after it are its own, although its `{` was left out."""
        if _is_head([token.text for token in line], self._heads()):
            following = next(iter(real(self.tokens[newline:])), None)
            if following is None or following.text != "{":
                self.stack.append(_Open(line[0], line[0], missing=True))

    def _misplaced_close(self, index: int, line_first: Token) -> bool:
        """A `}` in the middle of a line of a block that began on another line: it hardly ends the block."""
        token = self.tokens[index]
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        ends = (TokenKind.NEWLINE, TokenKind.COMMENT)
        ends_line = following is None or following.kind in ends or following.text == "}"
        if token.text != "}" or ends_line or token is line_first:
            return False
        opened = next((opened for opened in reversed(self.stack) if opened.token.text == "{"), None)
        return opened is not None and opened.line_first is not line_first

    def _headless_brace(self, token: Token) -> bool:
        """Whether `token` is the `{` of the statement before it, one line late."""
        last = [t.text for t in real(self.blocks[-1].tokens)] if self.blocks else []
        return token.text == "{" and _is_head(last, _TOP)

    @property
    def _in_stage(self) -> bool:
        return bool(self.blocks and self.stack) and self.stack[0].line_first.text == "stage"

    def _heads(self) -> tuple[str, ...]:
        """The keywords of the blocks that may begin where the splitter stands."""
        levels = (_TOP, STAGED, ("target",)) if self._in_stage else (_TOP, ("target",))
        return levels[len(self.stack)] if len(self.stack) < len(levels) else ()

    def _next_of_block(self, closed: frozenset[int], depth: int) -> None:
        """`target b {` inside a block that is not closed: what stands deeper than `depth` was meant to end before."""
        if self.stack[0].token.start in closed or len(self.stack) <= depth:
            return
        if not self.stack[depth].missing:
            self._unclosed(self.stack[depth].token)
        del self.stack[depth:]

    def _continued(self) -> bool:
        """Whether the last token asks for more."""
        for block in reversed(self.blocks):
            for token in reversed(block.tokens):
                if token.kind not in (TokenKind.NEWLINE, TokenKind.COMMENT):
                    return token.text in CONTINUATIONS
        return False

    def _bracket(self, token: Token, line_first: Token) -> None:
        if token.text in _PAIRS and token.kind is TokenKind.SYMBOL:
            self.stack.append(_Open(token, line_first))
        elif token.text == ")" and self.stack and self.stack[-1].token.text == "(":
            self.stack.pop()
        elif token.text == "}" and token.kind is TokenKind.SYMBOL:
            if any(opened.token.text == "{" or opened.missing for opened in self.stack):
                while self.stack[-1].token.text == "(":
                    self._unclosed(self.stack.pop().token, before=token)
                opened = self.stack.pop()
                further_left = token.first and self._column(token) < self._column(opened.line_first)
                if further_left and not opened.missing and self.suspicion is None:
                    self.suspicion = (opened.token, token)
            elif self.stack:
                self._unclosed(self.stack[-1].token, before=token)
                self.stack.clear()
            elif self.blocks[-1].tokens[0] is token:
                self.blocks[-1].fault = error(
                    "M3I0006", "`}` closes nothing", token.span(self.file), "no block is open here"
                )

    def _unindented_keyword(self, token: Token) -> bool:
        return token.text in DECLARATIONS and self._column(token) == 1

    def _column(self, token: Token) -> int:
        return self.file.line_and_column(token.start)[1]

    def _unclosed(self, token: Token, before: Token | None = None) -> None:
        block = self.blocks[-1]
        if block.fault is not None:
            return
        secondary: list[Label] = []
        if token.text == "{" and self.suspicion is not None:
            token, closer = self.suspicion
            secondary.append(Label(closer.span(self.file), "this `}` closes it, but stands further left"))
        elif before is not None:
            secondary.append(Label(before.span(self.file), f"`{before.text}` comes before it is closed"))
        code, what = ("M3I0004", "parenthesis") if token.text == "(" else ("M3I0005", "block")
        block.fault = error(
            code,
            f"this {what} is never closed",
            token.span(self.file),
            f"`{token.text}` is opened here",
            secondary=secondary,
            helps=[f"close it with `{_PAIRS[token.text]}`"],
        )


def _is_head(words: Sequence[str], keywords: Sequence[str]) -> bool:
    """Whether a line is the head of a block without its `{`, whatever else stands there instead."""
    return bool(words) and words[0] in keywords and "{" not in words


def split(file: SourceFile, tokens: Sequence[Token]) -> list[Block]:
    """The top-level statements of `file`."""
    return _Splitter(file, tokens).split()


def region(block: Block) -> tuple[int, int]:
    """The offsets of a block: from its first token to the end of its last."""
    return block.tokens[0].start, block.tokens[-1].end


def _closed_openers(tokens: Sequence[Token]) -> frozenset[int]:
    """The places of the opening brackets that are closed when brackets are matched with no regard to anything else."""
    closed: set[int] = set()
    stack: list[Token] = []
    for token in tokens:
        if token.kind is not TokenKind.SYMBOL:
            continue
        if token.text in _PAIRS:
            stack.append(token)
        elif token.text in _PAIRS.values():
            while stack and _PAIRS[stack[-1].text] != token.text:
                stack.pop()
            if stack:
                closed.add(stack.pop().start)
    return frozenset(closed)


def real(tokens: Sequence[Token]) -> list[Token]:
    """Without comments and newlines."""
    return [token for token in tokens if token.kind not in (TokenKind.NEWLINE, TokenKind.COMMENT)]
