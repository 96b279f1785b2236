"""Where in a recipe a place is, also while the line is half written.

Takes: the text and an offset. Gives: what may stand there: a declaration, a setting, a word of a kind, an argument of
a word, a name, a file. Guarantees: tokens decide, never the tree, so that no text is too broken; what follows the place
is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from m3i_dsl.syntax.keywords import DECLARATIONS, STAGED
from m3i_dsl.syntax.tokens import Token, TokenKind, tokenize
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.word import Kind, Parameter, Word


@dataclass(frozen=True, slots=True)
class Declaration:
    """The start of a statement at the top, or in a stage."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingOf:
    """The start of a statement in a block."""

    block: str


@dataclass(frozen=True, slots=True)
class WordOf:
    """A word of one of `kinds`, or a name of one of `names`. `before` are the words of a name so far."""

    kinds: tuple[Kind, ...]
    names: tuple[str, ...] = ("param",)
    literals: tuple[str, ...] = ()
    before: str = ""


@dataclass(frozen=True, slots=True)
class ArgumentOf:
    """An argument of a word, by name or by place. `given` are those that are written before the cursor."""

    word: type[Word]
    given: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueOf:
    """The value of an argument."""

    parameter: Parameter


@dataclass(frozen=True, slots=True)
class FieldOf:
    """`DATA.` in a view: a field of the data."""

    data: str


@dataclass(frozen=True, slots=True)
class FileName:
    """The text of `use "..."`."""

    written: str


@dataclass(frozen=True, slots=True)
class EncoderName:
    """The first text of `timm("...")`."""

    written: str


Cursor = Declaration | SettingOf | WordOf | ArgumentOf | ValueOf | FieldOf | FileName | EncoderName

_KINDS: dict[tuple[str, str], tuple[Kind, ...]] = {
    ("target", "representation"): ("representation",),
    ("target", "predictor"): ("predictor",),
    ("target", "regularization"): ("regularization",),
    ("target", "distribution"): ("distribution",),
    ("objective", "represent"): ("representation",),
    ("objective", "weighting"): ("weighting",),
    ("objective", "input"): ("mix",),
    ("train", "optimizer"): ("optimizer",),
    ("train", "schedule"): ("schedule",),
}
"""What a setting is a word of."""

_NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    ("objective", "input"): ("view",),
    ("target", "data"): ("view", "data"),
}
_LITERALS: dict[tuple[str, str], tuple[str, ...]] = {
    ("objective", "input"): ("masked", "mixed", "first", "second"),
    ("objective", "symmetric"): ("true", "false"),
    ("target", "data"): ("first", "second"),
    ("target", "pairs"): ("others", "same", "all"),
    ("train", "precision"): ("fp32", "bf16"),
    ("train", "epochs"): ("warmup",),
    ("train", "steps"): ("warmup",),
    ("train", "samples"): ("warmup",),
}
_OF: dict[str, tuple[str, ...]] = {
    "view": ("data",),
    "views": ("data",),
    "encoder": ("encoder",),
    "input": ("view", "first", "second"),
    "data": ("view", "first", "second"),
    "represent": ("encoder",),
    "representation": ("encoder",),
}
"""What stands behind `of`, by the declaration or setting."""


def cursor_at(text: str, offset: int) -> Cursor | None:
    """What may stand at `offset`; None where nothing is to be offered: in a comment, and where a new name stands."""
    written = tokenize(text[:offset])
    if written and written[-1].kind is TokenKind.COMMENT:
        return None
    tokens = [token for token in written if token.kind is not TokenKind.COMMENT]
    if tokens and tokens[-1].end == offset and tokens[-1].kind in (TokenKind.UNCLOSED_STRING, TokenKind.STRING):
        unclosed = tokens[-1].kind is TokenKind.UNCLOSED_STRING
        return _in_string(tokens[:-1], tokens[-1].text[1:]) if unclosed else None
    if tokens and tokens[-1].end == offset and tokens[-1].kind is TokenKind.NAME:
        tokens = tokens[:-1]  # the word that is being written is not known yet
    elif tokens and tokens[-1].end == offset and tokens[-1].kind is TokenKind.NUMBER:
        return None
    block, statement = _statement(tokens)
    return _in_statement(block, statement)


def _statement(tokens: Sequence[Token]) -> tuple[str | None, list[Token]]:
    """The innermost open block, and the tokens of the statement that is not finished."""
    blocks: list[str] = []
    statement: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind is TokenKind.NEWLINE:
            if depth == 0 and not (statement and statement[-1].text in ("|", "+", ",", "=", "->", "..")):
                statement = []
            continue
        if token.text == "{" and depth == 0:
            blocks.append(statement[0].text if statement else "")
            statement = []
            continue
        if token.text == "}" and depth == 0:
            blocks = blocks[:-1]
            statement = []
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        depth = max(0, depth)
        statement.append(token)
    return (blocks[-1] if blocks else None), statement


def _in_statement(block: str | None, statement: list[Token]) -> Cursor | None:
    if not statement:
        if block is None:
            return Declaration(tuple(DECLARATIONS))
        if block == "stage":
            return Declaration(STAGED)
        return WordOf(("evaluator",), ()) if block == "evaluate" else SettingOf(block)
    opened = _open_parenthesis(statement)
    if opened is not None:
        return _in_parentheses(block, statement, opened)
    first, last = statement[0].text, statement[-1].text
    if block is None or block == "stage":
        return _in_declaration(first, last, statement)
    return _in_setting(block, first, last, statement)


def _in_declaration(first: str, last: str, statement: list[Token]) -> Cursor | None:
    texts = [token.text for token in statement]
    if last == "of":
        return WordOf((), _OF.get(first, ()))
    if first in ("view", "views") and last == "." and len(texts) > 1:
        return FieldOf(texts[-2])
    if "=" not in texts:
        return None
    written = _name_so_far(statement)
    if first == "data":
        return WordOf(("source",), before=written) if last == "=" else None
    if first in ("view", "views"):
        return WordOf(("transform",), before=written) if last in ("=", "|") else None
    if first == "encoder" and last == "=":
        return WordOf(("encoder",), literals=("ema of", "frozen of"))
    return WordOf((), ("param",)) if first == "param" and last == "=" else None


def _in_setting(block: str, first: str, last: str, statement: list[Token]) -> Cursor | None:
    if block == "evaluate":
        return WordOf((), (), ("at end", "every"))
    if last == "of":
        return WordOf((), _OF.get(first, ()))
    if last == "by":
        return WordOf(("mix",) if any(token.text == "mixed" for token in statement) else ("mask",))
    key = (block, first)
    kinds, names, literals = _KINDS.get(key, ()), _NAMES.get(key, ()), _LITERALS.get(key, ())
    before = _name_so_far(statement[1:])
    starts = len(statement) == 1 or last in (",", "+", "|")
    if starts or _begins_a_word(kinds, before):
        return WordOf(kinds, (*names, "param"), literals, before)
    if last in ("masked", "mixed"):
        return WordOf((), names)
    return WordOf((), (), ("of", "by")) if statement[-1].kind is TokenKind.NAME or last == ")" else None


def _in_parentheses(block: str | None, statement: list[Token], opened: int) -> Cursor | None:
    """Of the word before the parenthesis: an argument, or a value after `name:`."""
    inside = statement[opened + 1 :]
    kind = _kinds_at(block, statement[:opened])
    word = _word_before(kind, statement[:opened])
    if word is None:
        if statement[opened - 1].text == "mix" and opened:
            return WordOf((), ("view",), ("masked", "first", "second"))
        return WordOf((), ("param",))
    if inside and inside[-1].text == "of":
        return WordOf((), ("encoder",))
    parameters = {parameter.name: parameter for parameter in word.parameters()}
    if len(inside) >= 2 and inside[-1].text == ":" and inside[-2].text in parameters:
        return ValueOf(parameters[inside[-2].text])
    if inside and inside[-1].text != ",":
        return None
    given = tuple(token.text for token, after in pairwise(inside) if after.text == ":")
    return ArgumentOf(word, given)


def _kinds_at(block: str | None, before: list[Token]) -> tuple[Kind, ...]:
    """The kinds of the words that may stand where the last word of `before` does."""
    outer = _open_parenthesis(before)
    if outer is not None:
        found = _in_parentheses(block, _until_word(before), outer)
        if isinstance(found, ValueOf) and found.parameter.type.word is not None:
            return (found.parameter.type.word.kind,)
        return ()
    if block == "evaluate":
        return ("evaluator",)
    found = _in_statement(block, _until_word(before))
    return found.kinds if isinstance(found, WordOf) else ()


def _until_word(tokens: list[Token]) -> list[Token]:
    """The tokens without the words at their end, but for the one that opens the statement."""
    end = len(tokens)
    while end > 1 and tokens[end - 1].kind is TokenKind.NAME and tokens[end - 1].text not in ("of", "by"):
        end -= 1
    return tokens[:end]


def _word_before(kinds: tuple[Kind, ...], before: list[Token]) -> type[Word] | None:
    """The word of one of `kinds` that `before` ends with; its name may be several words."""
    name = _name_so_far(before)
    for kind in kinds:
        for start in range(len(name.split())):
            found = " ".join(name.split()[start:])
            if found in words(kind):
                return dict(words(kind).usable()).get(found)
    return None


def _begins_a_word(kinds: tuple[Kind, ...], before: str) -> bool:
    return bool(before) and any(name.startswith(f"{before} ") for kind in kinds for name in words(kind))


def _name_so_far(tokens: Sequence[Token]) -> str:
    """The words without anything between them that the tokens end with."""
    found: list[str] = []
    for token in reversed(tokens):
        if token.kind is not TokenKind.NAME or token.text in ("of", "by"):
            break
        found.insert(0, token.text)
    return " ".join(found)


def _open_parenthesis(tokens: Sequence[Token]) -> int | None:
    """Where the innermost parenthesis stands that is not closed."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(tokens[index].text, 0)
        if depth < 0:
            return index
    return None


def _in_string(tokens: Sequence[Token], written: str) -> Cursor | None:
    if tokens and tokens[-1].text == "use":
        return FileName(written)
    if len(tokens) >= 2 and tokens[-1].text == "(" and tokens[-2].text == "timm":
        return EncoderName(written)
    return None
