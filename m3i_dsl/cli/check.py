"""`m3ic check PATH...`: finds everything that is wrong with recipes, without reading data.

Diagnostics are the product, on standard output; a line that counts them is on standard error. In a folder, a file
without a `recipe` is part of others: its syntax is checked on its own, its meaning where it is used. Exit code 1 if
there are errors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, add_output_format, add_paths, add_settings, expand, read, report, settings
from m3i_dsl.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.syntax import ast


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "check", "find what is wrong with recipes", __doc__ or "")
    add_paths(parser)
    add_settings(parser)
    add_output_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: no errors. 1: errors."""
    values = settings(arguments)
    paths = expand(arguments.paths)
    found: list[Diagnostic] = []
    for path in paths:
        for diagnostic in _check(path, arguments, values):
            if diagnostic not in found:
                found.append(diagnostic)
    report(found, arguments, sys.stdout)
    print(_count(len(paths), found), file=sys.stderr)
    return 1 if any(diagnostic.severity is Severity.ERROR for diagnostic in found) else 0


def _check(path: str, arguments: argparse.Namespace, values: Mapping[str, ast.Value]) -> Sequence[Diagnostic]:
    from m3i_dsl.driver import check_file
    from m3i_dsl.syntax import ast, parse

    file = read(path, arguments.stdin_filename)
    if path not in arguments.paths:
        recipe, diagnostics = parse(file)
        if not any(isinstance(declaration, ast.RecipeName) for declaration in recipe.declarations):
            return list(diagnostics)
    return list(check_file(file, values).diagnostics)


def _count(files: int, found: Sequence[Diagnostic]) -> str:
    counts = [
        f"{number} {severity.value if severity is Severity.INFO else severity.value + ('s' if number > 1 else '')}"
        for severity in Severity
        if (number := sum(diagnostic.severity is severity for diagnostic in found))
    ]
    checked = f"checked {files} file{'s' if files != 1 else ''}"
    return f"{checked}: {', '.join(counts) if counts else 'nothing wrong'}"
