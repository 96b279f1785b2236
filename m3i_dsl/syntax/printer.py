"""From syntax tree to text.

Takes: any node. Gives: its text in the one spelling that the printer has for it; a whole recipe is laid out by the
formatter. Guarantees: the text parses back to an equal tree.
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.format import format_text

_SPACED_UNITS = ("epochs", "steps", "samples")
_BLOCKS = (ast.Objective, ast.Train, ast.Evaluate, ast.Stage)


def print_recipe(recipe: ast.Recipe) -> str:
    """A whole recipe, formatted. Declarations of one kind stand together, with a blank line around each block."""
    lines = _declarations(recipe.declarations)
    return format_text(SourceFile("<printed>", "\n".join(lines) + "\n" if lines else ""))


def print_value(value: ast.Value) -> str:
    """One value on one line."""
    match value:
        case ast.Number():
            return _number(value)
        case ast.String():
            return _string(value)
        case ast.Range():
            return f"{_number(value.low)}..{_number(value.high)}"
        case ast.Ramp():
            return f"{_number(value.start)} -> {_number(value.stop)} {value.shape.text}"
        case ast.Rate():
            return f"{_number(value.value)} per {_number(value.per)}"
        case ast.List():
            inner = ", ".join(print_value(item) for item in value.items)
            return f"({inner},)" if len(value.items) == 1 else f"({inner})"
        case ast.Term():
            return _term(value)
        case ast.Sum():
            return " + ".join(_term(term) for term in value.terms)
        case ast.Pipeline():
            return " | ".join(_term(term) for term in value.terms)


def _declarations(declarations: Iterable[ast.Declaration]) -> list[str]:
    lines: list[str] = []
    previous: ast.Declaration | None = None
    for declaration in declarations:
        if previous is not None and _apart(previous, declaration):
            lines.append("")
        lines += _declaration(declaration)
        previous = declaration
    return lines


def _apart(previous: ast.Declaration, declaration: ast.Declaration) -> bool:
    if isinstance(previous, ast.Version) and isinstance(declaration, ast.RecipeName):
        return False
    return type(previous) is not type(declaration) or isinstance(declaration, _BLOCKS)


def _declaration(declaration: ast.Declaration) -> list[str]:
    match declaration:
        case ast.Version():
            return [f"m3i {_number(declaration.number)}"]
        case ast.RecipeName():
            return [f"recipe {declaration.name.text}"]
        case ast.Use():
            given = "" if declaration.arguments is None else f" {_arguments(declaration.arguments)}"
            return [f"use {_string(declaration.path)}{given}"]
        case ast.Param():
            return [f"param {declaration.name.text} = {print_value(declaration.value)}"]
        case ast.Data():
            return [f"data {declaration.name.text} = {_term(declaration.value)}"]
        case ast.View():
            of = f"{declaration.data.text}.{declaration.field.text}"
            name = declaration.name.text
            head = f"view {name}" if declaration.count is None else f"views {name}[{print_value(declaration.count)}]"
            return [f"{head} of {of} = {print_value(declaration.value)}"]
        case ast.Encoder():
            return [f"encoder {declaration.name.text} = {_term(declaration.value)}"]
        case ast.Objective():
            return _block(f"objective {declaration.name.text}", _items(declaration.items))
        case ast.Train():
            return _block("train", [_setting(setting) for setting in declaration.settings])
        case ast.Evaluate():
            return _block("evaluate", [_evaluation(evaluation) for evaluation in declaration.evaluations])
        case ast.Stage():
            return _block(f"stage {declaration.name.text}", _declarations(declaration.items))


def _block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{", *lines, "}"]


def _items(items: tuple[ast.Setting | ast.Target, ...]) -> list[str]:
    lines: list[str] = []
    previous: ast.Setting | ast.Target | None = None
    for item in items:
        if isinstance(item, ast.Target):
            if isinstance(previous, ast.Setting):
                lines.append("")
            lines += _block(f"target {item.name.text}", [_setting(setting) for setting in item.settings])
        else:
            lines.append(_setting(item))
        previous = item
    return lines


def _setting(setting: ast.Setting) -> str:
    return f"{setting.keyword.text} {', '.join(print_value(value) for value in setting.values)}"


def _evaluation(evaluation: ast.Evaluation) -> str:
    when = "at end" if evaluation.every is None else f"every {_number(evaluation.every)}"
    return f"{_term(evaluation.value)} {when}"


def _term(term: ast.Term) -> str:
    text = " ".join(word.text for word in term.words)
    if term.index is not None:
        text += f"[{_number(term.index)}]"
    text += _arguments(term.arguments)
    if term.operand is not None:
        text += f" {_number(term.operand)}"
    if term.of is not None:
        field = "" if term.of.field is None else f".{term.of.field.text}"
        text += f" of {term.of.name.text}{field}{_arguments(term.of.arguments)}"
    if term.by is not None:
        text += f" by {_term(term.by)}"
    return text


def _arguments(arguments: tuple[ast.Argument, ...] | None) -> str:
    if arguments is None:
        return ""
    return f"({', '.join(_argument(argument) for argument in arguments)})"


def _argument(argument: ast.Argument) -> str:
    name = "" if argument.name is None else f"{argument.name.text}: "
    return name + print_value(argument.value)


def _number(number: ast.Number) -> str:
    """The shortest decimal text that reads back as the same number."""
    value = number.value
    text = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    text = text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return f"{text} {number.unit}" if number.unit in _SPACED_UNITS else f"{text}{number.unit}"


def _string(string: ast.String) -> str:
    escaped = string.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
