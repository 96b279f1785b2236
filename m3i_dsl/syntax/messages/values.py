"""Numbers, arguments, lists, and operators that are not written as the language writes them."""

from __future__ import annotations

from m3i_dsl.diagnostics import Diagnostic, Fix, Label
from m3i_dsl.source import Span
from m3i_dsl.syntax.keywords import CLAUSES, SPACED_UNITS, UNITS, closest
from m3i_dsl.syntax.messages.situation import Situation, quoted
from m3i_dsl.syntax.tokens import Token, TokenKind

_BETWEEN_NUMBERS = {"..": "a range", "->": "a ramp", "per": "a rate"}
_ENDS_VALUE = (TokenKind.NAME, TokenKind.NUMBER, TokenKind.STRING)


# --- numbers ----------------------------------------------------------------------------------------------------------


def malformed_number(situation: Situation) -> Diagnostic | None:
    """`1.2.3`, `1.`, `1_000`: a number that goes on as no number does."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or previous.kind is not TokenKind.NUMBER or not situation.touches_previous():
        return None
    span = previous.span(situation.file).to(situation.span)
    if bad.text == ".":
        whole = previous.text
        return situation.error(
            "M3I0021", f"`{span.text}` is not a number", span=span, helps=[f"write `{whole}`"], fix=Fix(span, whole)
        )
    digits = bad.text.replace("_", "")
    if bad.kind is TokenKind.NAME and bad.text.startswith("_") and digits.isdigit():
        whole = previous.text + digits
        return situation.error(
            "M3I0021", f"`{span.text}` is not a number", span=span, helps=[f"write `{whole}`"], fix=Fix(span, whole)
        )
    if bad.kind is TokenKind.NUMBER:
        return situation.error("M3I0021", f"`{span.text}` is not a number", span=span)
    return None


def unknown_unit(situation: Situation) -> Diagnostic | None:
    """`32pix`, `32 px`, `10 iterations`."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or bad.kind is not TokenKind.NAME or previous.kind is not TokenKind.NUMBER:
        return None
    if bad.first or "NAME" in situation.accepts:
        return None
    touching = situation.touches_previous()
    span = previous.span(situation.file).to(situation.span)
    unit = UNITS.get(bad.text)
    if unit is None and (touching or "DURATION" in situation.accepts):
        guess = closest(bad.text, UNITS)
        unit = UNITS[guess] if guess is not None else None
    if unit is None and not touching:
        return None
    if unit is None:
        helps = [
            "the units are `%`, `px`, `epochs`, `steps`, and `samples`; `k`, `M`, and `G` multiply by 1e3, 1e6, 1e9"
        ]
        return situation.error("M3I0021", f"`{bad.text}` is not a unit", span=span, helps=helps)
    whole = f"{previous.text} {unit}" if unit in SPACED_UNITS else f"{previous.text}{unit}"
    apart = not touching and bad.text == unit
    message = f"the unit `{unit}` stands apart from its number" if apart else f"`{bad.text}` is not a unit"
    helps = [f"write `{whole}`" if apart else f"did you mean `{whole}`?"]
    return situation.error("M3I0021", message, span=span, helps=helps, fix=Fix(span, whole))


def ramp_without_shape(situation: Situation) -> Diagnostic | None:
    """`0.996 -> 1`."""
    numbers = [token for token in situation.before if token.kind is TokenKind.NUMBER or token.text == "->"]
    if "NAME" not in situation.accepts or not situation.accepts <= {"NAME", "DURATION"} or len(numbers) < 3:
        return None
    if numbers[-2].text != "->":
        return None
    ramp = numbers[-3].span(situation.file).to(numbers[-1].span(situation.file))
    helps = [f"write `{ramp.text} cosine` or `{ramp.text} linear`"]
    return situation.error(
        "M3I0029",
        "this ramp does not say how it moves",
        "expected its shape here",
        secondary=[Label(ramp, "")],
        helps=helps,
    )


# --- arguments and lists ----------------------------------------------------------------------------------------------


def equals_in_argument(situation: Situation) -> Diagnostic | None:
    """`crop(size = 32px)`."""
    bad, previous = situation.bad, situation.previous
    if bad is None or bad.text != "=" or situation.bracket != "(" or previous is None:
        return None
    following = situation.following
    span = Span(situation.file, previous.end, following.start if following else bad.end)
    name = previous.text if previous.kind is TokenKind.NAME else "name"
    return situation.error(
        "M3I0014",
        "`=` does not belong in an argument",
        helps=[f"an argument is named with `:`, as in `{name}: {following.text if following else 'value'}`"],
        fix=Fix(span, ": ") if previous.kind is TokenKind.NAME and following else None,
    )


def argument_name(situation: Situation) -> Diagnostic | None:
    """A `:` inside parentheses after something that is no name."""
    bad, before = situation.bad, situation.before
    if bad is None or bad.text != ":" or situation.bracket != "(" or not before:
        return None
    opener = situation.place.brackets[-1]
    start = max(index for index, token in enumerate(before) if token is opener or token.text == ",")
    words = before[start + 1 :]
    if not words:
        return situation.error("M3I0035", "an argument has no name before its `:`", "expected a name")
    span = words[0].span(situation.file).to(words[-1].span(situation.file))
    if len(words) == 1 and words[0].kind is TokenKind.STRING:
        return situation.error(
            "M3I0035", "the name of an argument is not in quotes", span=span, helps=[f"write `{words[0].text[1:-1]}`"]
        )
    if len(words) > 1 and all(word.kind is TokenKind.NAME for word in words):
        name = "_".join(word.text for word in words)
        apart = f"{' '.join(word.text for word in words[:-1])}, {words[-1].text}: ..."
        helps = [f"write `{name}: ...` if it is one name, `{apart}` if a `,` is missing"]
        return situation.error("M3I0035", "the name of an argument is one word", span=span, helps=helps)
    if len(words) > 1 and words[-1].kind is TokenKind.NAME:
        return _missing_comma(situation, words[-2], words[-1])
    if len(words) == 1 and words[0].kind is TokenKind.NAME:
        helps = ["only a word takes named arguments, as in `crop(size: 32px)`"]
        return situation.error("M3I0035", "the values of a list have no names", span=span, helps=helps)
    return situation.error("M3I0035", f"`{span.text}` cannot be the name of an argument", span=span)


def doubled_comma(situation: Situation) -> Diagnostic | None:
    """`(0.9,, 0.95)`, `f(, 1)`, and a `,` before the end of a block."""
    bad, previous = situation.bad, situation.previous
    if previous is None or previous.text != ",":
        if bad is None or bad.text != "," or previous is None or previous.text != "(":
            return None
    if bad is None or bad.text in (",", ")", "}"):
        return situation.error(
            "M3I0028", "a value is missing at this `,`", "expected a value here", helps=["remove the `,`"]
        )
    return None


def list_form(situation: Situation) -> Diagnostic | None:
    """`(0.9)`, `()`, and `0.9, 0.95` where a list is meant."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None:
        return None
    if bad.text == ")" and situation.bracket == "(" and previous.text == "(":
        return situation.error(
            "M3I0034", "an empty list has no meaning", helps=["write its values, `(0.9, 0.95)`, or leave it out"]
        )
    if (
        bad.text == ")"
        and situation.bracket == "("
        and "COMMA" in situation.accepts
        and "RPAR" not in situation.accepts
    ):
        at = situation.after_previous
        helps = ["a list of one value ends in a comma, `(0.9,)`; a value needs no parentheses"]
        return situation.error(
            "M3I0034", "parentheses around one value", "expected `,`", helps=helps, fix=Fix(at, ",", safe=False)
        )
    if bad.text == "," and situation.bracket is None and "_NEWLINE" in situation.accepts:
        helps = ["several values make a list in parentheses: `(0.9, 0.95)`"]
        return situation.error("M3I0034", "several values without parentheses", helps=helps)
    return None


def missing_comma(situation: Situation) -> Diagnostic | None:
    """Two values inside parentheses with nothing between them."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or situation.bracket != "(" or "COMMA" not in situation.accepts:
        return None
    if bad.kind not in _ENDS_VALUE and bad.text != "(":
        return None
    if bad.text in CLAUSES.values() and not bad.first:
        return None
    return _missing_comma(situation, previous, bad)


def _missing_comma(situation: Situation, left: Token, right: Token) -> Diagnostic:
    gap = Span(situation.file, left.end, left.end)
    secondary = [Label(gap, "expected `,` here")] if right.first else []
    return situation.error(
        "M3I0011",
        f"a `,` is missing before {quoted(right)}",
        "" if right.first else "expected `,` before this",
        span=right.span(situation.file),
        secondary=secondary,
        helps=["separate the values in parentheses with `,`"],
        fix=Fix(gap, ","),
    )


# --- operators and clauses --------------------------------------------------------------------------------------------


def missing_value(situation: Situation) -> Diagnostic | None:
    """Nothing, or nothing that could be a value, after `=` or the `:` of an argument."""
    bad, previous = situation.bad, situation.previous
    if previous is None or previous.text not in ("=", ":"):
        return None
    if bad is not None and (bad.kind is not TokenKind.SYMBOL or bad.text == "{"):
        return None
    before = situation.before
    owner = f"the argument `{before[-2].text}`" if previous.text == ":" else f"`{before[0].text} {before[1].text}`"
    if bad is not None and bad.text == "(" and not situation.takes_value:
        return None
    return situation.error("M3I0010", f"{owner} has no value", "expected a value here")


def missing_operand(situation: Situation) -> Diagnostic | None:
    """`crop(32px) |`, `0.9 ->`, `8%..`, `1e-4 per`, `of`, `by`: the second half is missing or of another kind."""
    bad, previous = situation.bad, situation.previous
    if previous is None or (bad is None and previous.text == ","):
        return None
    operator = previous.text
    if operator in _BETWEEN_NUMBERS and situation.only("NUMBER"):
        helps = [f"{_BETWEEN_NUMBERS[operator]} is written with two numbers; a parameter cannot stand here"]
        return situation.error(
            "M3I0023", f"expected a number after `{operator}`, found {situation.found}", helps=helps if bad else []
        )
    if operator in ("|", "+", "by", "of", ".") and situation.only("NAME"):
        what = "a name" if operator in ("of", ".") else "a word"
        if bad is not None and (bad.kind in (TokenKind.NUMBER, TokenKind.STRING) or bad.text == "("):
            return (
                None
                if what == "a word"
                else situation.error("M3I0023", f"expected a name after `{operator}`, found {situation.found}")
            )
        helps = [f"remove the `{operator}`, or write what follows it"]
        return situation.error("M3I0023", f"expected {what} after `{operator}`, found {situation.found}", helps=helps)
    return None


def word_expected(situation: Situation) -> Diagnostic | None:
    """A number, a string or a list where only words may stand."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None or not situation.only("NAME"):
        return None
    kinds = {TokenKind.NUMBER: "number", TokenKind.STRING: "string"}
    what = kinds.get(bad.kind, "list" if bad.text == "(" else None)
    if what is None:
        return None
    keyword = situation.before[0].text
    examples = {"data": 'embedded("digits")', "view": "crop(32px)", "encoder": 'timm("vit_tiny_patch16_224")'}
    examples["views"] = examples["view"]
    helps = [f"a `{keyword}` is made by a word, as in `{examples[keyword]}`"] if keyword in examples else []
    return situation.error("M3I0032", f"expected a word after `{previous.text}`, found a {what}", helps=helps)


def misplaced_operator(situation: Situation) -> Diagnostic | None:
    """`32px + 4px`, `a | b + c`, `low..high`, `view1.first`."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None:
        return None
    before = [token.text for token in situation.statement]
    if bad.text in ("|", "+"):
        other = "+" if bad.text == "|" else "|"
        if previous.kind in (TokenKind.NUMBER, TokenKind.STRING) and other not in before:
            helps = ["a recipe computes nothing: write the value itself"]
            return situation.error("M3I0033", f"`{bad.text}` only joins words", helps=helps)
        if other in before:
            return situation.error(
                "M3I0033",
                "`|` and `+` cannot be mixed in one value",
                helps=["`|` joins the steps of a view, or predictors; `+` adds regularizations"],
            )
        helps = ["`|` joins the steps of a view, or predictors; `+` adds regularizations"]
        return situation.error("M3I0033", f"`{bad.text}` cannot stand here", helps=helps)
    if bad.text in _BETWEEN_NUMBERS:
        helps = [f"{_BETWEEN_NUMBERS[bad.text]} is written with two numbers; a parameter cannot stand here"]
        return situation.error("M3I0033", f"`{bad.text}` only stands between two numbers", helps=helps)
    if bad.text == ".":
        helps = ["write `FIELD of DATA`, or `of DATA.FIELD`"]
        return situation.error("M3I0033", "`.` only stands in `of DATA.FIELD`", helps=helps)
    return None


def misplaced_punctuation(situation: Situation) -> Diagnostic | None:
    """A `:`, `=` or `(` that belongs to nothing."""
    bad, previous = situation.bad, situation.previous
    if bad is None or previous is None:
        return None
    if bad.text == ":":
        helps = ["`:` stands between the name of an argument and its value, inside parentheses"]
        return situation.error("M3I0013", "`:` cannot stand here", helps=helps)
    if bad.text == "=":
        helps = ["`=` stands once, after the name of a `param`, `data`, `view`, or `encoder`"]
        return situation.error("M3I0012", "`=` cannot stand here", helps=helps)
    if bad.text == "(":
        helps = ["only a word takes arguments, once: `word(...)`"]
        return situation.error("M3I0032", "`(` cannot stand here", helps=helps)
    return None


def clause_order(situation: Situation) -> Diagnostic | None:
    """`view1 of first of second`, `f(1) by g of h of i`."""
    bad = situation.bad
    if bad is None or bad.text not in CLAUSES.values() or situation.starts_statement or bad.first:
        return None
    helps = ["the order is `words[index](arguments) number of NAME by word`, each at most once"]
    return situation.error("M3I0041", f"`{bad.text}` cannot stand here", helps=helps)


def two_statements(situation: Situation) -> Diagnostic | None:
    """Something that starts a value or a statement where the statement could end."""
    bad = situation.bad
    if bad is None or "_NEWLINE" not in situation.accepts or situation.bracket == "(":
        return None
    comma = "COMMA" in situation.accepts
    helps = [f"start {quoted(bad)} on a new line" + (", or separate it with `,`" if comma else "")]
    what = "`,` or the end of the line" if comma else "the end of the line"
    return situation.error("M3I0026", f"expected {what}, found {quoted(bad)}", helps=helps)


NUMBER_RULES = (malformed_number, unknown_unit, ramp_without_shape)

RULES = (
    equals_in_argument,
    argument_name,
    doubled_comma,
    list_form,
    missing_value,
    missing_operand,
    word_expected,
    missing_comma,
    misplaced_operator,
    clause_order,
    misplaced_punctuation,
    two_statements,
)
