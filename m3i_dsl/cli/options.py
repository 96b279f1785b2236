"""What commands have in common: flags, input files, and how diagnostics are shown.

Takes: parsed arguments. Gives: source files, settings, and rendered diagnostics. Guarantees: a file that is not
there, or not a text, is a CliError with the name that was perhaps meant; colour only on a terminal, or when asked
for.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from m3i_dsl.cli.streams import colours_of
from m3i_dsl.diagnostics import FORMATS, Diagnostic, render
from m3i_dsl.front.wrong_use import WrongUse
from m3i_dsl.source import LARGEST, MissingFile, SourceFile, UnreadableFile, read_file

if TYPE_CHECKING:
    from m3i_dsl.semantics.given import Given

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]

STDIN = "-"


class CliError(WrongUse):
    """Wrong use of the command line, or a file that cannot be read: exit code 2."""


class UnreadableInput(CliError):
    """A file that is there and is no text."""


# --- flags ------------------------------------------------------------------------------------------------------------


def common(*, suppress: bool = True) -> argparse.ArgumentParser:
    """The flags that stand before or after any command; `suppress` keeps a command from resetting those before it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=argparse.SUPPRESS if suppress else "auto",
        help="auto: on a terminal, unless NO_COLOR is set",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="show the traceback of an internal error",
    )
    return parser


def add_command(subparsers: Subparsers, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """The parser of a command, with the common flags."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common()],
    )


def add_output_format(parser: argparse.ArgumentParser) -> None:
    """`--output-format`, for commands that report about recipes."""
    parser.add_argument("--output-format", choices=FORMATS, default="full", help="how diagnostics are written")


def add_paths(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """`PATH...`: files, folders, and `-` for standard input."""
    parser.add_argument(
        "paths", nargs="+" if required else "*", metavar="PATH", help="a recipe, a folder of recipes, or `-`"
    )
    add_stdin_name(parser)


def add_stdin_name(parser: argparse.ArgumentParser) -> None:
    """`--stdin-filename`: what standard input is called in messages, and where its `use` paths start."""
    parser.add_argument("--stdin-filename", default="<stdin>", metavar="NAME", help="the name of standard input")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """`--set NAME=VALUE`, any number of times; a name with points is the path to a setting or an argument."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="the value of a parameter, or of a setting: `train.batch=64`, `data.images.canvas=64px`, "
        "`stage.NAME.train.batch=64`",
    )


def add_passes(parser: argparse.ArgumentParser) -> None:
    """`--passes a,b`: the passes to run, None for all."""
    parser.add_argument(
        "--passes",
        type=_passes,
        metavar="PASS,...",
        help="only these passes over the graph, in the order of the pipeline; `none` for none (default: all)",
    )


def whole_number(minimum: int) -> Callable[[str], int]:
    """Reads a whole number of at least `minimum`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"`{text}` is not a whole number of at least {minimum}")
        return int(text)

    return read


def _passes(text: str) -> tuple[str, ...]:
    from m3i_dsl.passes import NAMES, UnknownPass, passes_named

    names = [] if text.strip() in ("", "none") else [name.strip() for name in text.split(",")]
    try:
        return tuple(pass_.name for pass_ in passes_named(names))
    except UnknownPass as fault:
        near = f"; did you mean `{fault.near[0]}`?" if fault.near else f"; there are {', '.join(NAMES)}"
        raise argparse.ArgumentTypeError(f"{fault}{near}") from None


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not all(part.isidentifier() for part in name.strip().split(".")):
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE")
    return name.strip(), value


def settings(arguments: argparse.Namespace) -> Mapping[str, Given]:
    """The values of `--set`; the last one of a name holds."""
    from m3i_dsl.semantics.given import given

    assignments: Sequence[tuple[str, str]] = arguments.settings
    return {name: given(name, value) for name, value in assignments}


# --- input ------------------------------------------------------------------------------------------------------------


def read(path: str, stdin_name: str = "<stdin>") -> SourceFile:
    """One file, or standard input for `-`. Raises CliError."""
    if path == STDIN:
        return _standard_input(stdin_name)
    try:
        return read_file(Path(path))
    except MissingFile as fault:
        near = f"; did you mean `{(Path(path).parent / fault.near[0])}`?" if fault.near else ""
        raise CliError(f"there is no file `{path}`{near}") from None
    except UnreadableFile as fault:
        raise UnreadableInput(f"`{path}` cannot be read: {fault.reason}") from None


def _standard_input(name: str) -> SourceFile:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # Python's, when descriptor 0 is closed
        raise CliError("standard input cannot be read: it is closed")
    try:
        text = sys.stdin.read(LARGEST + 1)
    except UnicodeDecodeError as fault:
        raise CliError(f"standard input cannot be read: byte {fault.start} is not UTF-8") from None
    if len(text) > LARGEST:
        raise CliError(f"standard input cannot be read: it is larger than {LARGEST >> 20} MiB")
    return SourceFile(name, text)


def expand(paths: Sequence[str]) -> list[str]:
    """Files as they are; folders as the recipes inside them, at any depth, sorted. Raises CliError."""
    found: list[str] = []
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            inside = sorted(str(file) for file in Path(path).rglob("*.m3i"))
            if not inside:
                raise CliError(f"there is no `.m3i` file in `{path}`")
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def is_part(file: SourceFile) -> bool:
    """Whether the file names no recipe, so that it has a meaning only where others `use` it."""
    from m3i_dsl.syntax import ast, parse

    recipe, _ = parse(file)
    return not any(isinstance(declaration, ast.RecipeName) for declaration in recipe.declarations)


# --- output -----------------------------------------------------------------------------------------------------------


def report(diagnostics: Iterable[Diagnostic], arguments: argparse.Namespace, stream: TextIO) -> None:
    """Writes diagnostics in the format that was asked for."""
    color = colored(arguments, stream)
    text = render(diagnostics, getattr(arguments, "output_format", "full"), color)
    (colours_of(stream) if color else stream).write(text)


def say_notes(error: BaseException) -> None:
    """What was added to an exception on its way (`add_note`): how a training goes on."""
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)


def colored(arguments: argparse.Namespace, stream: TextIO) -> bool:
    """Whether to write colours to `stream`."""
    if arguments.color != "auto":
        return bool(arguments.color == "always")
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
