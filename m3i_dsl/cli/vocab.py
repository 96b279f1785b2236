"""`m3ic vocab [KIND] [WORD]`: the words of the language, with what they take and what they mean.

Without arguments, the words of every kind; with a kind, their arguments, defaults and where these come from; with a
word too, its full documentation. `--json` gives everything.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from typing import TYPE_CHECKING, Any

from m3i_dsl.cli.options import CliError, add_command, colored

if TYPE_CHECKING:
    from rich.console import Console

    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.vocabulary.word import Kind, Parameter, Word

WIDEST = 120
"""Longer lines are hard to read, however wide the terminal is."""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "vocab", "list the words of the language", __doc__ or "")
    parser.add_argument("kind", nargs="?", metavar="KIND", help="such as `mask`, `predictor`, `distribution`")
    parser.add_argument("word", nargs="*", metavar="WORD", help="one word of the kind, such as `dense feature`")
    parser.add_argument("--json", action="store_true", help="everything, for scripts and editors")


def run(arguments: argparse.Namespace) -> int:
    """0: printed."""
    from m3i_dsl.vocabulary.registry import KINDS, words

    kinds = KINDS if arguments.kind is None else (_kind(arguments.kind),)
    listed: dict[Kind, dict[str, type[Word]]] = {kind: dict(words(kind)) for kind in kinds}
    if arguments.word:
        name = " ".join(arguments.word)
        listed = {kind: {name: _word(kind, name, found)} for kind, found in listed.items()}
    if arguments.json:
        import json

        records = {kind: [_record(word) for word in found.values()] for kind, found in listed.items()}
        print(json.dumps(records, indent=2))
        return 0
    from rich.console import Console

    console = Console(no_color=not colored(arguments, sys.stdout), highlight=False)
    for kind, found in listed.items():
        console.print(f"[bold]{kind}[/bold]")
        for word in found.values():
            _print_word(console, word, arguments_too=arguments.kind is not None, full=bool(arguments.word))
    return 0


def _kind(name: str) -> Kind:
    import difflib

    from m3i_dsl.vocabulary.registry import KINDS

    for kind in KINDS:
        if name in (kind, f"{kind}s"):
            return kind
    close = difflib.get_close_matches(name, KINDS, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"kinds are {', '.join(KINDS)}"
    raise CliError(f"there is no kind of word `{name}`; {hint}")


def _word(kind: Kind, name: str, found: dict[str, type[Word]]) -> type[Word]:
    import difflib

    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(found)}"
        raise CliError(f"there is no {kind} `{name}`; {hint}")
    return found[name]


def _record(word: type[Word]) -> dict[str, Any]:
    return {
        "name": word.name,
        "kind": word.kind,
        "doc": inspect.getdoc(word),
        "effects": sorted(effect.value for effect in word.effects),
        "arguments": [
            {
                "name": parameter.name,
                "type": parameter.type.describe(),
                "required": parameter.required,
                "default": _default(parameter),
                "origin": None if parameter.required else parameter.origin,
                "range": parameter.bounds.text(parameter.type.quantity.unit if parameter.type.quantity else "") or None,
                "doc": parameter.doc,
            }
            for parameter in word.parameters()
        ],
    }


def _default(parameter: Parameter) -> str | None:
    from m3i_dsl.vocabulary.word import argument_text

    if parameter.required or parameter.default is None:
        return None
    return argument_text(parameter.default, parameter.type)


def _print_word(console: Console, word: type[Word], *, arguments_too: bool, full: bool) -> None:

    console.print(f"  [cyan]{word.name}[/cyan]")
    _print_wrapped(console, word.summary(), 4)
    if full:
        for paragraph in (inspect.getdoc(word) or "").split("\n\n")[1:]:
            console.print()
            _print_wrapped(console, " ".join(paragraph.split()), 4)
        console.print()
    if not arguments_too:
        return
    for parameter in word.parameters():
        default = _default(parameter)
        given = (
            "required" if parameter.required else "optional" if default is None else f"{default}, {parameter.origin}"
        )
        _print_wrapped(
            console, f"{parameter.name}: {parameter.type.describe()} ({given}) - {parameter.doc}", 6, hanging=4
        )


def _print_wrapped(console: Console, text: str, indent: int, hanging: int = 0) -> None:
    """Text within the width, indented, without the padding at line ends that rich's own indentation has."""
    import textwrap

    lines = textwrap.wrap(
        text,
        width=min(console.width, WIDEST),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
