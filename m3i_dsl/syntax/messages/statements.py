"""Declarations, blocks, and settings that are not written as the language writes them."""

from __future__ import annotations

from m3i_dsl.diagnostics import Diagnostic, Fix, Label
from m3i_dsl.source import Span
from m3i_dsl.syntax.keywords import (
    CLAUSES,
    DECLARATIONS,
    FOREIGN_DECLARATIONS,
    STAGED,
    closest,
    home_of,
    looks_like_declaration,
)
from m3i_dsl.syntax.messages.situation import Situation, quoted
from m3i_dsl.syntax.tokens import TokenKind

_NAMED = frozenset({"recipe", "param", "data", "view", "views", "encoder", "objective", "target", "stage"})
_LEADING = frozenset({"|", "+", "->", "..", ",", ".", ":", "="})


def unmatched_bracket(situation: Situation) -> Diagnostic | None:
    """A `)` or `}` with nothing open."""
    bad = situation.bad
    if bad is None or bad.text not in (")", "}"):
        return None
    if bad.text == ")" and situation.bracket != "(":
        return situation.error("M3I0006", "`)` closes nothing", "no `(` is open here")
    if bad.text == "}" and "{" not in (bracket.text for bracket in situation.place.brackets):
        return situation.error("M3I0006", "`}` closes nothing", "no block is open here")
    return None


def unknown_declaration(situation: Situation) -> Diagnostic | None:
    """The first word of a top-level statement opens no declaration."""
    bad = situation.bad
    if bad is None or situation.index > 0 or situation.takes_value:
        return None
    if bad.kind is not TokenKind.NAME:
        helps = ["a statement at the top level starts with one of " + _listed(DECLARATIONS)]
        return situation.error("M3I0037", f"a statement cannot start with {quoted(bad)}", helps=helps)
    word = bad.text
    following = situation.following
    assigned = following is not None and following.text == "="
    guess = closest(word, DECLARATIONS) or (
        word.lower() if word.lower() in DECLARATIONS and word != word.lower() else None
    )
    if home_of(word) is not None and not assigned:
        home = home_of(word)
        opening = f"{home} {{ ... }}" if home in ("train", "evaluate") else f"{home} NAME {{ ... }}"
        return situation.error(
            "M3I0008",
            f"`{word}` stands outside of any block",
            f"belongs in `{home}`",
            helps=[f"write it inside `{opening}`; check where the block before ends"],
        )
    if word in FOREIGN_DECLARATIONS:
        helps = [FOREIGN_DECLARATIONS[word]]
        return situation.error("M3I0007", f"`{word}` is not a declaration", helps=helps)
    if guess is not None and not (assigned and guess not in ("param", "data", "encoder")):
        helps = [f"did you mean `{guess}`?"]
        fix = Fix(situation.span, guess)
        return situation.error("M3I0007", f"`{word}` is not a declaration", helps=helps, fix=fix)
    if assigned:
        helps = [f"a value with a name is declared by `param {word} = ...`"]
        return situation.error("M3I0007", f"`{word}` is assigned without being declared", helps=helps)
    helps = ["a statement at the top level starts with one of " + _listed(DECLARATIONS)]
    return situation.error("M3I0007", f"`{word}` is not a declaration", helps=helps)


def part_of_stage(situation: Situation) -> Diagnostic | None:
    """A statement directly in a stage that is none of its parts."""
    bad = situation.bad
    if bad is None or situation.block != "stage" or not situation.starts_statement or bad.kind is not TokenKind.NAME:
        return None
    word, start = bad.text, situation.place.statement
    opening = situation.place.brackets[0].span(situation.file)
    secondary = [Label(opening, "inside this stage")]
    if looks_like_declaration([token.text for token in situation.tokens[start : start + 3]]) or word in DECLARATIONS:
        helps = ["move it out of the stage, to the top level of the file"]
        message = f"`{word}` cannot be declared inside a stage"
        return situation.error("M3I0009", message, secondary=secondary, helps=helps)
    home = home_of(word)
    if home is not None:
        shape = DECLARATIONS.get(home, "objective NAME { ... }")
        return situation.error(
            "M3I0008",
            f"`{word}` stands directly in a stage",
            f"belongs in `{home}`",
            helps=[f"write it inside `{shape}`"],
        )
    guess = closest(word, STAGED)
    helps = [f"did you mean `{guess}`?"] if guess else ["a stage has `objective`, `train`, and `evaluate`"]
    fix = Fix(situation.span, guess) if guess else None
    return situation.error("M3I0007", f"`{word}` is no part of a stage", secondary=secondary, helps=helps, fix=fix)


def operator_at_line_start(situation: Situation) -> Diagnostic | None:
    """`| flip` on a line of its own."""
    bad = situation.bad
    if bad is None or not bad.first or bad.text not in _LEADING or situation.previous is None:
        return None
    if "_NEWLINE" in situation.accepts or not situation.starts_statement:
        return None
    helps = [f"end the line before with `{bad.text}`, or put both on one line"]
    secondary = [Label(situation.after_previous, "the statement ends here")]
    return situation.error("M3I0027", f"a line cannot start with `{bad.text}`", secondary=secondary, helps=helps)


def version(situation: Situation) -> Diagnostic | None:
    """`m3i` without its number."""
    statement = situation.statement
    if situation.block is None and [t.text for t in statement] == ["m3i"] and "NUMBER" in situation.accepts:
        helps = ["the version of the language is written `m3i 1`"]
        return situation.error(
            "M3I0040", f"expected the number of the language version, found {situation.found}", helps=helps
        )
    return None


def use_without_quotes(situation: Situation) -> Diagnostic | None:
    """`use views.m3i`."""
    if not situation.only("STRING"):
        return None
    helps = ['write the path of the file in double quotes: `use "views.m3i"`']
    rest = situation.rest_of_line
    if not rest:
        return situation.error("M3I0036", "`use` names no file", helps=helps)
    span = Span(situation.file, rest[0].start, rest[-1].end)
    fix = Fix(span, f'"{span.text}"') if '"' not in span.text and "\\" not in span.text else None
    return situation.error("M3I0036", "the file that is used is not in quotes", span=span, helps=helps, fix=fix)


def missing_name(situation: Situation) -> Diagnostic | None:
    """`objective {`, `recipe "name"`."""
    previous, bad = situation.previous, situation.bad
    if not situation.only("NAME") or previous is None or len(situation.statement) != 1 or previous.text not in _NAMED:
        return None
    keyword = previous.text
    shape = DECLARATIONS.get(keyword, "target NAME { ... }")
    helps = [f"write `{shape}`"]
    fix = None
    if bad is not None and bad.kind is TokenKind.STRING:
        helps = ["a name is written without quotes"]
        if bad.text[1:-1].isidentifier() and bad.text.isascii():
            fix = Fix(situation.span, bad.text[1:-1])
    elif bad is not None and bad.kind is TokenKind.NUMBER:
        helps = ["a name starts with a letter or `_`"]
    if bad is None:
        return situation.error("M3I0017", f"`{keyword}` has no name", "expected a name here", helps=helps)
    return situation.error(
        "M3I0017", f"`{keyword}` needs a name, found {situation.found}", "expected a name here", helps=helps, fix=fix
    )


def missing_equals(situation: Situation) -> Diagnostic | None:
    """`param size 32px`, `param size: 32px`, `param crop size = 32px`."""
    if not situation.only("EQUAL"):
        return None
    keyword, bad = situation.tokens[0].text, situation.bad
    helps = [f"write `{DECLARATIONS[keyword]}`"]
    fix = None
    if bad is not None and bad.text == ":":
        fix = Fix(situation.span, " =")
    elif bad is not None and bad.kind is TokenKind.NAME and situation.following is not None:
        if situation.following.text == "=" and situation.previous is not None:
            name = f"{situation.previous.text}_{bad.text}"
            span = Span(situation.file, situation.previous.start, bad.end)
            return situation.error(
                "M3I0017",
                f"the name of a `{keyword}` is one word",
                span=span,
                helps=[f"write `{name}`"],
                fix=Fix(span, name),
            )
    return situation.error(
        "M3I0015",
        f"`{keyword}` needs a `=` after its name, found {situation.found}",
        "expected `=`",
        helps=helps,
        fix=fix,
    )


def count_of_views(situation: Situation) -> Diagnostic | None:
    """`view local[8] of digits.image`, `views local of digits.image`, `views local[] of digits.image`, `local[x]`."""
    keyword = situation.tokens[0] if situation.tokens else None
    bad, before = situation.bad, situation.before
    if situation.only("NUMBER") and len(before) > 1 and before[-1].text == "[":
        helps = [f"write its number, `{before[-2].text}[0]` for the first"]
        message = f"expected the number of a view, found {situation.found}"
        return situation.error("M3I0001", message, helps=helps)
    if situation.only("RSQB") or (situation.only("RSQB", "DURATION") and situation.bracket != "("):
        helps = ["close it with `]`"]
        return situation.error("M3I0001", f"expected `]`, found {situation.found}", helps=helps)
    if keyword is None or keyword.text not in ("view", "views") or situation.block is not None:
        return None
    if len(before) == 2 and situation.only("_OF") and bad is not None and bad.text == "[":
        helps = ["several views are declared by `views`, one by `view` without a count"]
        fix = Fix(keyword.span(situation.file), "views")
        return situation.error("M3I0001", "a `view` is one, and has no count", helps=helps, fix=fix)
    if len(before) == 2 and situation.only("LSQB"):
        helps = [f"write `views {before[1].text}[8] of ...`, or `view {before[1].text} of ...` for one"]
        return situation.error("M3I0001", f"`views` needs a count after its name, found {situation.found}", helps=helps)
    if len(before) == 3 and situation.only("NUMBER", "NAME"):
        helps = [f"write a number or the name of a `param`, as in `views {before[1].text}[8] of ...`"]
        return situation.error("M3I0001", f"expected the number of views, found {situation.found}", helps=helps)
    return None


def view_without_field(situation: Situation) -> Diagnostic | None:
    """`view v = crop(32px)`, `view v of digits = crop(32px)`."""
    if not situation.tokens or situation.tokens[0].text not in ("view", "views") or situation.block is not None:
        return None
    before = [token.text for token in situation.before]
    if "=" in before or len(before) < 2:
        return None
    head = " ".join(before[:2]) + "".join(before[2:5] if before[0] == "views" else ())
    helps = [f"write `{head} of DATA.FIELD = ...`, as in `of digits.image`"]
    if situation.only("_OF"):
        return situation.error("M3I0022", "this view does not say what it is a view of", "expected `of`", helps=helps)
    if situation.only("DOT"):
        return situation.error(
            "M3I0022", f"this view does not say which field of `{before[-1]}` it shows", "expected `.`", helps=helps
        )
    if situation.only("NAME"):
        return situation.error("M3I0022", "this view does not say what it is a view of", "expected a name", helps=helps)
    return None


def missing_brace(situation: Situation) -> Diagnostic | None:
    """`train:`, `objective m3i` alone on its line."""
    if not situation.only("LBRACE"):
        return None
    bad = situation.bad
    what = " ".join(token.text for token in situation.statement)
    helps = [f"write `{what} {{`, its statements on lines of their own, and `}}`"]
    if bad is None:
        after = [token for token in situation.tokens[situation.index :] if token.kind is not TokenKind.NEWLINE]
        if after and after[0].text == "{":
            helps = ["put the `{` at the end of this line"]
    elif bad.text == ":":
        helps = ["a block is written in `{` and `}`; the language has no meaning for indentation"]
    elif bad.kind is TokenKind.NAME and what in ("train", "evaluate"):
        helps = [f"`{what}` has no name: write `{what} {{ ... }}`"]
    return situation.error("M3I0031", f"the block of `{what}` does not start", "expected `{`", helps=helps)


def declaration_in_block(situation: Situation) -> Diagnostic | None:
    """A whole declaration, or a block that does not exist, inside a block."""
    statement = situation.statement
    if situation.block is None or not statement or statement[0].kind is not TokenKind.NAME:
        return None
    first = statement[0]
    start = situation.place.statement
    words = [token.text for token in situation.tokens[start : start + 3]]
    span = first.span(situation.file)
    home = situation.place.brackets[0] if situation.place.brackets else None
    secondary = [Label(home.span(situation.file), "inside this block")] if home is not None else []
    if looks_like_declaration(words):
        helps = ["move it out of the block, to the top level of the file"]
        return situation.error(
            "M3I0009", f"`{first.text}` cannot be declared inside a block", span=span, secondary=secondary, helps=helps
        )
    if situation.bad is None or situation.bad.text != "{" or situation.bracket == "(":
        return None
    if first.text == "target":
        helps = ["a target belongs directly inside an objective"]
        return situation.error(
            "M3I0009", f"a target cannot stand inside `{situation.block}`", span=span, secondary=secondary, helps=helps
        )
    guess = "target" if situation.block == "objective" and closest(first.text, ["target"]) else None
    helps = (
        ["did you mean `target`?"]
        if guess
        else ["the only blocks inside a block are `target`, in an objective, and those of a stage"]
    )
    fix = Fix(span, guess) if guess else None
    code = "M3I0030" if guess else "M3I0009"
    return situation.error(code, f"`{first.text}` is not a block", span=span, helps=helps, fix=fix)


def statement_start(situation: Situation) -> Diagnostic | None:
    """A statement of a block that does not start with a word."""
    bad = situation.bad
    if bad is None or situation.block is None or not situation.starts_statement or bad.kind is TokenKind.NAME:
        return None
    what = {"evaluate": "an evaluation", "stage": "a part of a stage"}.get(situation.block, "a setting")
    helps = [f"{what} starts with a word"]
    return situation.error("M3I0037", f"a statement cannot start with {quoted(bad)}", helps=helps)


def punctuated_setting(situation: Situation) -> Diagnostic | None:
    """`batch = 256` and `batch: 256` inside a block."""
    bad, statement = situation.bad, situation.statement
    if bad is None or situation.block is None or len(statement) != 1 or bad.text not in ("=", ":"):
        return None
    keyword = statement[0].text
    following = situation.following
    value = Span(situation.file, following.start, situation.rest_of_line[-1].end).text if following else "..."
    span = Span(situation.file, statement[0].end, following.start if following else bad.end)
    code = "M3I0012" if bad.text == "=" else "M3I0013"
    return situation.error(
        code,
        f"`{bad.text}` does not belong between a setting and its value",
        helps=[f"write `{keyword} {value}`"],
        fix=Fix(span, " ") if following else None,
    )


def evaluation_time(situation: Situation) -> Diagnostic | None:
    """`knn(k: 20)` without `every` or `at end`, or with half of it."""
    if situation.block != "evaluate" or not situation.statement or situation.bracket == "(":
        return None
    previous, bad = situation.previous, situation.bad
    assert previous is not None
    name = situation.statement[0].text
    helps = [f"write `{name} every 5 epochs` or `{name} at end`"]
    if situation.only("_END"):
        return situation.error("M3I0025", f"expected `end` after `at`, found {situation.found}", helps=helps)
    if previous.text == "every" and "NUMBER" in situation.accepts:
        return situation.error(
            "M3I0025", f"expected a length of training after `every`, found {situation.found}", helps=helps
        )
    if not {"_EVERY", "_AT"} <= situation.accepts or (bad is not None and bad.kind is TokenKind.SYMBOL):
        return None
    suspects = [*situation.statement, *([bad] if bad is not None else [])]
    for token in suspects[1:]:
        guess = closest(token.text, ["every", "at"]) if token.kind is TokenKind.NAME else None
        if guess is not None:
            span = token.span(situation.file)
            return situation.error(
                "M3I0030",
                f"`{token.text}` is not `every` or `at`",
                span=span,
                helps=[f"did you mean `{guess}`?"],
                fix=Fix(span, guess),
            )
    return situation.error(
        "M3I0025", f"the evaluation `{name}` does not say when", "expected `every` or `at end`", helps=helps
    )


def setting_without_value(situation: Situation) -> Diagnostic | None:
    """`batch` alone on its line."""
    if situation.block is None or len(situation.statement) != 1 or not situation.takes_value:
        return None
    bad = situation.bad
    keyword = situation.statement[0].text
    if bad is not None and bad.text not in ("}", ")", ",", "{"):
        return None
    helps = [f"write the value after `{keyword}`, or remove the line"]
    return situation.error("M3I0010", f"the setting `{keyword}` has no value", "expected a value here", helps=helps)


def misspelled_clause(situation: Situation) -> Diagnostic | None:
    """`view view1 fo digits.image`, `linear(c: 1) att end`."""
    bad = situation.bad
    if bad is None or bad.kind is not TokenKind.NAME:
        return None
    guess = closest(bad.text, situation.clauses)
    if guess is None and len(bad.text) == 2:
        # Two letters in the wrong order: too short for a ratio.
        guess = next((clause for clause in situation.clauses if sorted(clause) == sorted(bad.text)), None)
    if guess is None or bad.text in CLAUSES.values():
        return None
    helps = [f"did you mean `{guess}`?"]
    return situation.error("M3I0030", f"`{bad.text}` is not `{guess}`", helps=helps, fix=Fix(situation.span, guess))


def statement_too_long(situation: Situation) -> Diagnostic | None:
    """Only the end of the line, or of the text, could follow, and something else does."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None:
        return None
    if situation.only("$END"):
        if bad.first and situation.tokens[0].text in DECLARATIONS:
            return situation.error("M3I0037", f"a statement cannot start with {quoted(bad)}")
        return situation.error("M3I0026", f"expected one value, found {quoted(bad)} after it")
    if not situation.only("_NEWLINE") or bad.text == ",":
        return None
    helps = [f"start {quoted(bad)} on a new line, or remove it"]
    statement = situation.statement
    if [token.text for token in statement[:1]] == ["recipe"]:
        helps = [f"a name is one word: write `{previous.text}_{bad.text}`"] if bad.kind is TokenKind.NAME else helps
    return situation.error("M3I0026", f"expected the end of the line, found {quoted(bad)}", helps=helps)


def _listed(words: dict[str, str]) -> str:
    names = [f"`{word}`" for word in words]
    return ", ".join(names[:-1]) + f", and {names[-1]}"


RULES = (
    unmatched_bracket,
    count_of_views,
    unknown_declaration,
    part_of_stage,
    version,
    use_without_quotes,
    missing_name,
    missing_equals,
    view_without_field,
    missing_brace,
    declaration_in_block,
    operator_at_line_start,
    statement_start,
    punctuated_setting,
    evaluation_time,
    setting_without_value,
    misspelled_clause,
    statement_too_long,
)
