"""Words and arguments as an editor shows them.

Takes: word classes and arguments. Gives: Markdown and one-line descriptions. Guarantees: the text is the one of
`m3ic vocab`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from m3i_dsl.vocabulary.word import Parameter, Word, argument_text


def type_of(parameter: Parameter) -> str:
    """Type and default: "a whole number, 20 (DINO)"."""
    described = parameter.type.describe()
    if parameter.required:
        return f"{described}, required"
    if parameter.default is None:
        return f"{described}, may be left out"
    return f"{described}, {argument_text(parameter.default, parameter.type)} ({parameter.origin})"


def word_page(word: type[Word]) -> str:
    """The whole doc of a word with its arguments, as Markdown."""
    doc = inspect.cleandoc(word.__doc__ or "")
    return "\n\n".join((f"**{word.name}** ({word.kind})", doc, *_arguments(word.parameters()))).rstrip()


def parameter_page(word: type[Word], parameter: Parameter) -> str:
    """One argument of a word, as Markdown."""
    unit = parameter.type.quantity.unit if parameter.type.quantity else ""
    bounds = parameter.bounds.text(unit)
    lines = [f"**{parameter.name}** of {word.name}: {type_of(parameter)}", parameter.doc]
    return "\n\n".join([*lines, *([bounds] if bounds else [])])


def _arguments(parameters: Iterable[Parameter]) -> list[str]:
    lines = [f"- `{each.name}`: {type_of(each)}. {each.doc}" for each in parameters]
    return ["\n".join(lines)] if lines else []
