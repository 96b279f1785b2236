"""`m3ic vocab [KIND] [WORD]`: the words of the language, with what they take and what they mean.

Without arguments, the words of every kind; with a kind, their arguments, defaults and where these come from; with a
word too, or a word alone, its full documentation. Words of other packages have the package behind them. `--json` gives
everything. `--new KIND NAME` prints a word of your own to start from, with its test.
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
    from m3i_dsl.vocabulary.registry import Words
    from m3i_dsl.vocabulary.word import Kind, Parameter, Word

WIDEST = 120
"""Longer lines are hard to read, however wide the terminal is."""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "vocab", "list the words of the language", __doc__ or "")
    parser.add_argument("kind", nargs="?", metavar="KIND", help="such as `mask`, `predictor`, `distribution`")
    parser.add_argument("word", nargs="*", metavar="WORD", help="one word of the kind, such as `dense feature`")
    parser.add_argument(
        "--new", nargs="+", metavar=("KIND", "NAME"), help="print a file with a new word that works, and its test"
    )
    parser.add_argument("--json", action="store_true", help="everything, for scripts and editors")


def run(arguments: argparse.Namespace) -> int:
    """0: printed."""
    if arguments.new is not None:
        return _print_new(arguments.new)
    listed, chosen = _chosen(arguments.kind, " ".join(arguments.word))
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
            _print_word(console, word, arguments_too=arguments.kind is not None, full=chosen)
    return 0


def _print_new(given: list[str]) -> int:
    from m3i_dsl.cli.skeleton import skeleton

    kind, *name = given
    if not name:
        raise CliError(f"write `m3ic vocab --new {kind} NAME`")
    print(skeleton(_kind(kind), " ".join(name)), end="")
    return 0


def _chosen(kind: str | None, name: str) -> tuple[dict[Kind, dict[str, type[Word]]], bool]:
    """The words to show by kind, and whether they were named. Says on standard error which cannot be used."""
    from m3i_dsl.vocabulary.registry import KINDS

    if kind is None:
        return {each: _usable(each) for each in KINDS}, False
    if not _is_kind(kind):
        # A word without its kind; several kinds may have it.
        name = f"{kind} {name}".strip()
        having: list[Kind] = [each for each in KINDS if name in _words(each)]
        if having:
            return {each: {name: _word(each, name)} for each in having}, True
    only = _kind(kind)
    return ({only: {name: _word(only, name)}}, True) if name else ({only: _usable(only)}, False)


def _words(kind: Kind) -> Words:
    from m3i_dsl.vocabulary.registry import words

    return words(kind)


def _usable(kind: Kind) -> dict[str, type[Word]]:
    from m3i_dsl.vocabulary.registry import UnusableWord

    found: dict[str, type[Word]] = {}
    for name in _words(kind):
        try:
            found[name] = _words(kind)[name]
        except UnusableWord as fault:
            print(f"warning[{fault.code}]: {fault.message}", file=sys.stderr)
            for note in fault.notes:
                print(f"  = note: {note}", file=sys.stderr)
    return found


def _is_kind(name: str) -> bool:
    from m3i_dsl.vocabulary.registry import KINDS

    return any(name in (kind, f"{kind}s") for kind in KINDS)


def _kind(name: str) -> Kind:
    import difflib

    from m3i_dsl.vocabulary.registry import KINDS

    for kind in KINDS:
        if name in (kind, f"{kind}s"):
            return kind
    close = difflib.get_close_matches(name, [*KINDS, *(word for kind in KINDS for word in _words(kind))], n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"kinds are {', '.join(KINDS)}"
    raise CliError(f"there is no kind of word and no word `{name}`; {hint}")


def _word(kind: Kind, name: str) -> type[Word]:
    import difflib

    from m3i_dsl.vocabulary.registry import UnusableWord

    known = _words(kind)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known)}"
        raise CliError(f"there is no {kind} `{name}`; {hint}")
    try:
        return known[name]
    except UnusableWord as fault:
        raise CliError("; ".join((fault.message, *fault.notes, fault.help))) from fault


def _record(word: type[Word]) -> dict[str, Any]:
    package = _words(word.kind).package(word.name)
    return {
        "name": word.name,
        "kind": word.kind,
        "doc": inspect.getdoc(word),
        "package": None if package is None else {"name": package.name, "version": package.version},
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
    package = _words(word.kind).package(word.name)
    console.print(f"  [cyan]{word.name}[/cyan]{'' if package is None else f' ({package})'}")
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
