"""What no recipe contains: other quotes, other comments, square brackets, arithmetic, characters without meaning."""

from __future__ import annotations

from m3i_dsl.diagnostics import Diagnostic, Fix
from m3i_dsl.source import Span
from m3i_dsl.syntax.messages.situation import Situation
from m3i_dsl.syntax.tokens import Token, TokenKind

_QUOTES = {
    "'": "'",
    "`": "`",
    "\u2018": "\u2019",
    "\u2019": "\u2019",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c",
    "\u00ab": "\u00bb",
}
_OPERATORS = frozenset("*/^<>&!~?-")
_REPLACEMENTS = {
    "\u2192": "->",
    "\u2026": "..",
    "\u2013": "-",
    "\u2014": "-",
    "\u2212": "-",
    "\uff0c": ",",
    "\uff08": "(",
    "\uff09": ")",
    "\uff1a": ":",
}
_INVISIBLE = {
    "\u00a0": "a no-break space",
    "\u200b": "a zero-width space",
    "\ufeff": "a byte order mark",
    "\r": "a carriage return",
    "\u3000": "an ideographic space",
}


def unclosed_string(situation: Situation) -> Diagnostic | None:
    """`"text` up to the end of the line."""
    bad = situation.bad
    if bad is None or bad.kind is not TokenKind.UNCLOSED_STRING:
        return None
    span = Span(situation.file, bad.start, bad.start + len(bad.text.rstrip()))
    helps = ['close it with `"`; a string ends on the line that it starts on']
    return situation.error("M3I0003", "this string is never closed", 'opened by this `"`', span=span, helps=helps)


def wrong_quotes(situation: Situation) -> Diagnostic | None:
    """`'text'` and the quotes of word processors."""
    bad = situation.bad
    if bad is None or bad.text not in _QUOTES or bad.kind is not TokenKind.UNKNOWN:
        return None
    line, column = situation.file.line_and_column(bad.start)
    rest = situation.file.line(line)[column:]
    length = rest.find(_QUOTES[bad.text])
    helps = ['strings are written in straight double quotes: `"text"`']
    if length < 0:
        return situation.error("M3I0018", f"`{bad.text}` does not open a string", helps=helps)
    span = Span(situation.file, bad.start, bad.end + length + 1)
    fix = Fix(span, f'"{rest[:length]}"') if '"' not in rest[:length] and "\\" not in rest[:length] else None
    return situation.error("M3I0018", f"`{bad.text}` does not open a string", span=span, helps=helps, fix=fix)


def foreign_comment(situation: Situation) -> Diagnostic | None:
    """`// text`, `/* text */`, `-- text`."""
    bad, following = situation.bad, situation.following
    if bad is None or following is None or bad.kind is not TokenKind.UNKNOWN or bad.end != following.start:
        return None
    mark = bad.text + following.text[:1]
    if mark not in ("//", "/*", "--"):
        return None
    span = Span(situation.file, bad.start, bad.start + 2)
    fix = Fix(span, "#") if mark != "/*" else None
    helps = ["a comment starts with `#` and ends with its line"]
    return situation.error("M3I0019", f"`{mark}` does not start a comment", span=span, helps=helps, fix=fix)


def counts_views(situation: Situation) -> bool:
    """Whether `[` and `]` are those of `views local[8]` or `local[0]`, which statements.py speaks of."""
    opened = [token.text for token in situation.before[-2:]]
    declared = len(situation.before) == 2 and situation.block is None and opened[0] in ("view", "views")
    return declared or (len(opened) == 2 and opened[1] == "[" and opened[0].isidentifier())


def square_brackets(situation: Situation) -> Diagnostic | None:
    """`[0.9, 0.95]`."""
    if situation.bad is None or situation.bad.text not in ("[", "]") or counts_views(situation):
        return None
    helps = ["a list is written in parentheses: `(0.9, 0.95)`"]
    return situation.error("M3I0020", f"`{situation.bad.text}` is not part of the language", helps=helps)


def hyphen_in_name(situation: Situation) -> Diagnostic | None:
    """`weight-decay`, `my-2`: the name goes on after a `-` or a number that touches it."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or not bad.text.startswith("-") or bad.text == "->":
        return None
    if previous.kind is not TokenKind.NAME or not situation.touches_previous():
        return None
    parts: list[Token] = [previous]
    for token in situation.tokens[situation.index :]:
        joined = token.kind in (TokenKind.NAME, TokenKind.NUMBER) or token.text == "-"
        if token.start != parts[-1].end or not joined:
            break
        parts.append(token)
    if len(parts) == 2 and bad.text == "-":
        return None
    name = "".join(part.text for part in parts).replace("-", "_")
    span = Span(situation.file, previous.start, parts[-1].end)
    helps = [f"write `{name}`"]
    return situation.error("M3I0016", "a name cannot contain `-`", span=span, helps=helps, fix=Fix(span, name))


def foreign_operator(situation: Situation) -> Diagnostic | None:
    """`==`, and the operators of arithmetic and comparison."""
    bad, previous = situation.bad, situation.previous
    if bad is None:
        return None
    text, span = bad.text, situation.span
    if text == "=" and previous is not None and previous.text == "=" and situation.touches_previous():
        text, span = "==", Span(situation.file, previous.start, bad.end)
    elif bad.kind is not TokenKind.UNKNOWN or text not in _OPERATORS:
        return None
    helps = ["a recipe computes and compares nothing: write the value itself, or declare a `param`"]
    return situation.error("M3I0024", f"`{text}` is not an operator of the language", span=span, helps=helps)


def semicolon(situation: Situation) -> Diagnostic | None:
    """`batch 256;`."""
    if situation.bad is None or situation.bad.text != ";":
        return None
    helps = ["a statement ends with its line: remove the `;`, and start what follows it on a new line"]
    return situation.error("M3I0026", "`;` does not end a statement", helps=helps)


def space_before_percent(situation: Situation) -> Diagnostic | None:
    """`75 %`."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or bad.text != "%" or previous.kind is not TokenKind.NUMBER:
        return None
    span = Span(situation.file, previous.start, bad.end)
    whole = f"{previous.text}%"
    return situation.error(
        "M3I0021",
        "the unit `%` stands apart from its number",
        span=span,
        helps=[f"write `{whole}`"],
        fix=Fix(span, whole),
    )


def unknown_character(situation: Situation) -> Diagnostic | None:
    """Any other character that no token starts with."""
    bad = situation.bad
    if bad is None or bad.kind is not TokenKind.UNKNOWN:
        return None
    character = bad.text
    if character in _INVISIBLE:
        helps = ["replace it with a space, or remove it"]
        return situation.error("M3I0002", f"{_INVISIBLE[character]} has no meaning here", helps=helps)
    if character in _REPLACEMENTS:
        plain = _REPLACEMENTS[character]
        helps = [f"write `{plain}`"]
        fix = Fix(situation.span, plain)
        return situation.error("M3I0002", f"`{character}` is not `{plain}`", helps=helps, fix=fix)
    if character.isalnum():
        helps = ["names are written in the letters a to z and A to Z, digits, and `_`; other text belongs in a string"]
        return situation.error("M3I0002", f"`{character}` cannot be part of a name", helps=helps)
    helps: list[str] = []
    if character == "\\":
        helps = ["a statement goes on on the next line inside parentheses, and after `,`, `|`, `+`, and `=`"]
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return situation.error("M3I0002", f"the character `{shown}` has no meaning here", helps=helps)


RULES = (
    unclosed_string,
    wrong_quotes,
    foreign_comment,
    square_brackets,
    hyphen_in_name,
    foreign_operator,
    semicolon,
    space_before_percent,
    unknown_character,
)
