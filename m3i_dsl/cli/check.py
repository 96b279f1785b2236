"""`m3ic check PATH...`: finds everything that is wrong with recipes, without reading data.

Diagnostics are the product, on standard output; a line that counts them is on standard error. In a folder, a file
without a `recipe` is part of others: its syntax is checked on its own, its meaning where it is used. Exit code 1 if
there are errors. `--fix` first applies the replacements that are safe: misspelt words, a missing unit.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import (
    STDIN,
    CliError,
    UnreadableInput,
    add_command,
    add_output_format,
    add_paths,
    add_settings,
    expand,
    read,
    report,
    settings,
)
from m3i_dsl.diagnostics import Diagnostic, Severity, error
from m3i_dsl.source import SourceFile, Span

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.diagnostics.levels import Levels
    from m3i_dsl.semantics.given import Given

MOST_ROUNDS = 10
"""A fix may uncover another fault that can be fixed; so many times at most."""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "check", "find what is wrong with recipes", __doc__ or "")
    add_paths(parser)
    add_settings(parser)
    add_output_format(parser)
    parser.add_argument("--fix", action="store_true", help="apply the fixes that are safe, and report what is left")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="LINT", help="leave a lint out, by code or name"
    )
    parser.add_argument(
        "-D", "--deny", action="append", default=[], metavar="LINT", help="count a lint as an error, by code or name"
    )
    parser.add_argument("--statistics", action="store_true", help="how often each code is reported, instead of where")


def run(arguments: argparse.Namespace) -> int:
    """0: no errors. 1: errors."""
    levels = _levels(arguments)
    values = settings(arguments)
    paths = expand(arguments.paths)
    found = _found(paths, arguments, values, levels)
    if arguments.fix:
        found = _fix(found, paths, arguments, values, levels)
    if arguments.statistics:
        _print_statistics(found)
    else:
        report(found, arguments, sys.stdout)
    print(_count(len(paths), found), file=sys.stderr)
    return 1 if any(diagnostic.severity is Severity.ERROR for diagnostic in found) else 0


def _found(
    paths: Sequence[str], arguments: argparse.Namespace, values: Mapping[str, Given], levels: Levels | None
) -> list[Diagnostic]:
    """What is said about all files; what several recipes say of a file that they use, once.

    One file of several that cannot be read leaves the others to be checked.
    """
    found: dict[Diagnostic, None] = {}
    for path in paths:
        diagnostics = _check(path, arguments, values)
        found.update(dict.fromkeys(diagnostics if levels is None else levels.apply(diagnostics)))
    return list(found)


def _check(path: str, arguments: argparse.Namespace, values: Mapping[str, Given]) -> Sequence[Diagnostic]:
    from m3i_dsl.driver import check_file
    from m3i_dsl.syntax import ast, parse

    try:
        file = read(path, arguments.stdin_filename)
    except UnreadableInput as fault:
        if arguments.paths == [path]:
            raise
        return [error("M3I0103", str(fault), Span(SourceFile(path, ""), 0, 0))]
    if path not in arguments.paths:
        recipe, diagnostics = parse(file)
        if not any(isinstance(declaration, ast.RecipeName) for declaration in recipe.declarations):
            return list(diagnostics)
    return list(check_file(file, values).diagnostics)


def _levels(arguments: argparse.Namespace) -> Levels | None:
    """The levels that were asked for, None for those of the lints themselves. Raises CliError."""
    if not arguments.ignore and not arguments.deny:
        return None
    from m3i_dsl.diagnostics.levels import Levels, NotALint, lint_code

    try:
        ignored, denied = (frozenset(map(lint_code, named)) for named in (arguments.ignore, arguments.deny))
    except NotALint as fault:
        raise CliError(str(fault)) from None
    return Levels(ignored, denied)


def _fix(
    found: list[Diagnostic],
    paths: Sequence[str],
    arguments: argparse.Namespace,
    values: Mapping[str, Given],
    levels: Levels | None,
) -> list[Diagnostic]:
    """Applies safe fixes until there are no more; returns what is left. Says on standard error what it changed."""
    from m3i_dsl.cli.replace import replace_text
    from m3i_dsl.diagnostics.fixes import fixed_texts

    if STDIN in paths:
        raise CliError("`--fix` changes files, and standard input is none")
    counts: Counter[str] = Counter()
    for _ in range(MOST_ROUNDS):
        changed = fixed_texts(found)
        if not changed:
            break
        for file, (text, count) in changed.items():
            replace_text(Path(file.name), text)
            counts[file.name] += count
        found = _found(paths, arguments, values, levels)
    for name, count in sorted(counts.items()):
        print(f"fixed {count} in {name}", file=sys.stderr)
    return found


def _print_statistics(found: Sequence[Diagnostic]) -> None:
    from m3i_dsl.diagnostics.catalogue import name_of

    for code, count in sorted(Counter(diagnostic.code for diagnostic in found).items(), key=lambda c: (-c[1], c[0])):
        print(f"{count:>5}  {code}  {name_of(code)}")


def _count(files: int, found: Sequence[Diagnostic]) -> str:
    counts = [
        f"{number} {severity.value if severity is Severity.INFO else severity.value + ('s' if number > 1 else '')}"
        for severity in Severity
        if (number := sum(diagnostic.severity is severity for diagnostic in found))
    ]
    checked = f"checked {files} file{'s' if files != 1 else ''}"
    return f"{checked}: {', '.join(counts) if counts else 'nothing wrong'}"
