"""What is known of the thing under the pointer.

Takes: a document and an offset. Gives: Markdown: of a name its declaration, of an argument its value and type, of a
word its doc and every value that it has here with the origin of each. Guarantees: a default says where it comes from.
"""

from __future__ import annotations

from m3i_dsl.lsp.recipes import Analysis
from m3i_dsl.lsp.words import parameter_page, word_page
from m3i_dsl.semantics.program import Placed
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.word import Parameter, Word, argument_text


def hover(analysis: Analysis, offset: int) -> tuple[str, Span] | None:
    """The text, and what it is about."""
    name = analysis.file.name
    declared = analysis.uses.at(name, offset)
    if declared is not None:
        span = next(s for s in analysis.uses.of(declared) if s.file.name == name and s.start <= offset <= s.end)
        other = f"\n\nin {declared.whole.file.name}" if declared.whole.file.name != name else ""
        return f"```m3i\n{declared.whole.text.strip()}\n```{other}", span
    placed = analysis.uses.word_at(name, offset)
    if placed is None:
        return None
    for parameter in placed.word.parameters():
        argument = placed.arguments.get(parameter.name)
        if argument is not None and _label_start(argument) <= offset <= argument.end:
            value = argument_text(getattr(placed.word, parameter.name), parameter.type)
            return f"`{value}`\n\n{parameter_page(type(placed.word), parameter)}", argument
    return "\n\n".join((word_page(type(placed.word)), *_values(placed))), placed.span


def _values(placed: Placed[Word]) -> list[str]:
    lines = [_value(placed, parameter) for parameter in placed.word.parameters()]
    written = "\n".join(line for line in lines if line)
    return [f"Here:\n{written}"] if written else []


def _value(placed: Placed[Word], parameter: Parameter) -> str:
    value = getattr(placed.word, parameter.name)
    if value is None:
        return ""
    text = f"- `{parameter.name}: {argument_text(value, parameter.type)}`"
    definition = placed.definitions.get(parameter.name)
    if definition is not None:
        return f"{text}, from `param {definition.name}`"
    return text if parameter.name in placed.arguments else f"{text}, default, {parameter.origin}"


def _label_start(argument: Span) -> int:
    """Where `name:` before the value of an argument starts."""
    before = argument.file.text[: argument.start].rstrip()
    if not before.endswith(":"):
        return argument.start
    label = before[:-1].rstrip()
    start = len(label)
    while start > 0 and (label[start - 1].isalnum() or label[start - 1] == "_"):
        start -= 1
    return start
