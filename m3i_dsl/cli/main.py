"""The entry point `m3ic`.

Takes: the arguments. Gives: an exit code: 0 clean, 1 the recipe has errors or a difference was asked for and found, 2
wrong use, an unreadable file, or an internal error. Guarantees: what was asked for is on standard output, everything
else on standard error; a fault of a recipe never shows a traceback; only the module of the command that runs is
imported.

A command is a module `cli/<command>.py` with `add_parser(subparsers)` and `run(arguments) -> int`, named in COMMANDS.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from m3i_dsl.cli.options import common, report, say_notes
from m3i_dsl.cli.streams import CannotPrint, ReaderLeft, printed_streams
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.front.wrong_use import WrongUse

COMMANDS = (
    "init",
    "check",
    "fmt",
    "resolve",
    "table",
    "graph",
    "explain",
    "vocab",
    "compile",
    "opt",
    "plan",
    "test",
    "index",
    "train",
    "runs",
    "eval",
    "export",
    "import",
    "lsp",
)

EPILOG = """\
m3ic init mae                      start from a recipe that comes with m3ic
m3ic check recipe.m3i              is it right?
m3ic compile recipe.m3i            write what will be trained
m3ic train                         train what was compiled last
m3ic explain M3I0011               what a message means
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        with printed_streams():
            return _said(words)
    except ReaderLeft:
        return 1
    except CannotPrint as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2


def _said(words: list[str]) -> int:
    if not words:
        _parser(words).print_help(sys.stderr)
        return 2
    try:
        arguments = _parser(words).parse_args(words)
        arguments.words = words
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 2
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        return int(_module(arguments.command).run(arguments))
    except RecipeError as fault:
        report(fault.diagnostics, arguments, sys.stderr)
        say_notes(fault)
        return 1
    except WrongUse as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        say_notes(stop)
        return 130
    except (CannotPrint, ReaderLeft):
        raise
    except ModuleNotFoundError as fault:
        return _not_installed(fault, arguments)
    except Exception as fault:
        _internal_error(fault, arguments)
        say_notes(fault)
        return 2


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"m3i_dsl.cli.{command}")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """All commands for `--help`; only the one that `words` name when they name one."""
    parser = argparse.ArgumentParser(
        prog="m3ic",
        description="Compiles, trains and evaluates pre-training recipes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common(suppress=False)],
    )
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = [word for word in words if word in COMMANDS][:1]
    for command in named or COMMANDS:
        _module(command).add_parser(subparsers)
    return parser


def _version() -> str:
    from m3i_dsl import __version__

    return f"m3ic {__version__}"


def _not_installed(fault: ModuleNotFoundError, arguments: argparse.Namespace) -> int:
    from m3i_dsl.cli.missing import missing_extra, say

    needed = missing_extra(fault)
    if needed is None:
        _internal_error(fault, arguments)
        return 2
    say(arguments.command, *needed, sys.stderr)
    return 1


def _internal_error(fault: Exception, arguments: argparse.Namespace) -> None:
    import platform
    import traceback

    from m3i_dsl.runtime.faults import Notice
    from m3i_dsl.vocabulary.blame import WORD_RAISED, blame

    if arguments.debug:
        traceback.print_exception(fault)
    blamed = blame(fault)
    if blamed is not None:
        found = Notice(WORD_RAISED, blamed.message, blamed.notes, (blamed.help,))
    else:
        place = traceback.extract_tb(fault.__traceback__)[-1]
        found = Notice(
            "M3I0901",
            f"internal error, please report it: {type(fault).__name__}: {fault}",
            notes=(
                f"raised in {os.path.basename(place.filename)}:{place.lineno}",
                f"{_version()}, Python {platform.python_version()}, {platform.platform()}",
            ),
            helps=() if arguments.debug else ("run it again with `--debug` for the traceback",),
        )
    print(found.text("error"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
