"""The one layout of a recipe.

Takes: the text of a recipe without syntax errors. Gives: the same tokens and comments, in the same order, with other
whitespace. There are no options. Guarantees: the tree stays equal; every comment stays, on its own line or behind the
same token; formatting twice is formatting once.

The layout: two spaces for each open block and for each line that continues a statement; one statement on a line; blank
lines at most one, none at the edges of a block; in a run of neighbouring statements of one sort, and in a run of lines
with comments behind them, what corresponds is aligned. Line breaks inside a statement stay where the author put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax.keywords import DECLARATIONS
from m3i_dsl.syntax.parser import parse
from m3i_dsl.syntax.recovery import CONTINUATIONS
from m3i_dsl.syntax.tokens import Token, TokenKind, tokenize

INDENT = 2
WIDEST_SHIFT = 16
"""A cell that is more than this wider than the narrowest of its run is left out of the alignment."""


def format_text(file: SourceFile) -> str:
    """The text of `file` in the one layout. Raises RecipeError if it has syntax errors."""
    _, diagnostics = parse(file)
    diagnostics.raise_errors()
    rows = _rows(tokenize(file.text))
    _align(rows)
    return "".join(_text(row) + "\n" for row in rows)


@dataclass(slots=True)
class Row:
    """One line of the result: `cells` are aligned within a run, `comment` stands alone or behind them."""

    indent: int
    tokens: list[Token] = field(default_factory=list)
    comment: str = ""
    block: str | None = None
    """The block that the row stands in; None at the top level."""
    continues: bool = False
    cells: tuple[str, str] = ("", "")
    width: int = 0
    """To which the first cell is padded."""
    comment_column: int = 0

    @property
    def blank(self) -> bool:
        return not self.tokens and not self.comment


def _rows(tokens: Sequence[Token]) -> list[Row]:
    """Tokens to lines: the author's, but for `{` and `}`, which end and have a line of their own."""
    return _Lines().run(tokens)


@dataclass(slots=True)
class _Lines:
    rows: list[Row] = field(default_factory=list)
    current: Row | None = None
    blocks: list[str] = field(default_factory=list)
    parentheses: list[int] = field(default_factory=list)
    """The indent of the row on which each open parenthesis stands."""
    statement: list[Token] = field(default_factory=list)
    blank: bool = False

    def run(self, tokens: Sequence[Token]) -> list[Row]:
        for token in tokens:
            if token.kind is TokenKind.NEWLINE:
                if self.current is None:
                    self.blank = True
                self._end_row()
            elif token.kind is TokenKind.COMMENT:
                self._comment(token)
            else:
                self._token(token)
        self._end_row()
        return self.rows

    def _token(self, token: Token) -> None:
        if token.text == "}":
            self._end_row()
            self.statement = []
            self.blocks.pop()
            self.blank = False
        elif self.current is not None and self.current.tokens and self.current.tokens[-1].text in ("{", "}"):
            self._end_row()
        row = self._row(closing=token.text == ")")
        row.tokens.append(token)
        self.statement.append(token)
        if token.text == "(":
            self.parentheses.append(row.indent)
        elif token.text == ")":
            self.parentheses.pop()
        elif token.text == "{":
            self.blocks.append(self.statement[0].text)
            self.statement = []
        elif token.text == "}":
            self.statement = []

    def _comment(self, token: Token) -> None:
        row = self._row(closing=False)
        row.comment = token.text.rstrip()

    def _row(self, *, closing: bool) -> Row:
        """The row that the next token belongs to."""
        if self.current is None:
            continues = bool(self.statement)
            indent = INDENT * len(self.blocks)
            if self.parentheses:
                indent = self.parentheses[-1] + (0 if closing else INDENT)
            elif continues:
                indent += INDENT
            opened = not self.rows or (self.rows[-1].tokens and self.rows[-1].tokens[-1].text == "{")
            if self.blank and not opened and not continues:
                self.rows.append(Row(0))
            self.current = Row(indent, block=self.blocks[-1] if self.blocks else None, continues=continues)
            self.blank = False
        return self.current

    def _end_row(self) -> None:
        if self.current is None:
            return
        row, self.current = self.current, None
        self.rows.append(row)
        last = self.statement[-1].text if self.statement else None
        if row.tokens and not self.parentheses and last not in CONTINUATIONS:
            self.statement = []


# --- alignment --------------------------------------------------------------------------------------------------------


def _align(rows: Sequence[Row]) -> None:
    for row in rows:
        row.cells = _cells(row)
    _align_runs(
        rows,
        key=_sort,
        skips=lambda row: row.continues or (not row.tokens and bool(row.comment)),
        width=lambda row: len(row.cells[0]),
        place=lambda row, width: setattr(row, "width", width),
    )
    _align_runs(
        rows,
        key=lambda row: "comment" if row.tokens and row.comment else None,
        skips=lambda row: False,
        width=lambda row: len(_code(row)),
        place=lambda row, width: setattr(row, "comment_column", width),
    )


def _align_runs(
    rows: Sequence[Row],
    *,
    key: Callable[[Row], str | None],
    skips: Callable[[Row], bool],
    width: Callable[[Row], int],
    place: Callable[[Row, int], None],
) -> None:
    """Gives the rows of each run (neighbours of one key, other than None) the same column."""
    run: list[Row] = []
    last: str | None = None
    for row in [*rows, Row(0)]:
        if not row.blank and skips(row):
            continue
        current = None if row.blank else key(row)
        if current is None or current != last:
            _place(run, width, place)
            run = []
        if current is not None:
            run.append(row)
        last = current


def _place(run: Sequence[Row], width: Callable[[Row], int], place: Callable[[Row, int], None]) -> None:
    if not run:
        return
    narrowest = min(width(row) for row in run)
    column = max(width(row) for row in run if width(row) <= narrowest + WIDEST_SHIFT)
    for row in run:
        place(row, max(column, width(row)))


def _sort(row: Row) -> str | None:
    """What a row is aligned with: rows of the same sort and block."""
    if not row.tokens or not row.cells[1]:
        return None
    if row.block is None:
        return row.tokens[0].text.replace("views", "view")
    return f"in {row.block}"


def _cells(row: Row) -> tuple[str, str]:
    """The row's text, cut where the rows of its sort are aligned."""
    tokens, cut = row.tokens, 0
    texts = [token.text for token in tokens]
    if row.continues or not tokens or texts[-1] == "{" or texts[0] == "}":
        cut = 0
    elif row.block is None:
        cut = texts.index("=") if texts[0] in DECLARATIONS and "=" in texts else 0
    elif row.block == "evaluate":
        cut = _evaluation_cut(texts)
    elif len(tokens) > 1:
        cut = 1
    if cut == 0:
        return _joined(row, tokens), ""
    return _joined(row, tokens[:cut]), _joined(row, tokens[cut:])


def _evaluation_cut(texts: Sequence[str]) -> int:
    """The place of `every` or `at`, which end an evaluation."""
    return next((index for index in range(len(texts) - 1, 0, -1) if texts[index] in ("every", "at")), 0)


# --- text -------------------------------------------------------------------------------------------------------------


def _code(row: Row) -> str:
    first, second = row.cells
    return " " * row.indent + (f"{first:<{row.width}} {second}" if second else first)


def _text(row: Row) -> str:
    code = _code(row)
    if not row.comment:
        return code.rstrip()
    return f"{code:<{row.comment_column}}  {row.comment}" if row.tokens else code + row.comment


def _joined(row: Row, tokens: Sequence[Token]) -> str:
    text = ""
    for index, token in enumerate(tokens):
        if index > 0 and _spaced(row, tokens[index - 1], token):
            text += " "
        text += token.text
    return text


def _spaced(row: Row, left: Token, right: Token) -> bool:
    if right.text in (",", ":", ")", ".", "..", "[", "]") or left.text in ("(", ".", "..", "["):
        return False
    if right.text == "(":
        # The parentheses of a word touch it; a list does not touch what is before it, not even the name of its setting.
        opens_list = row.tokens[0] is left and row.block not in (None, "evaluate") and not row.continues
        return left.kind is not TokenKind.NAME or opens_list
    return True
