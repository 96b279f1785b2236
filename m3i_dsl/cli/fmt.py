"""`m3ic fmt PATH...`: lays recipes out in the one way there is.

Rewrites files in place and prints the paths of those that changed; standard input goes to standard output. `--check`
writes nothing and prints what would change, `--diff` shows it; both exit with 1 if anything would. A file with syntax
errors is left as it is: exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import STDIN, add_command, add_output_format, add_paths, expand, read, report
from m3i_dsl.cli.replace import replace_text
from m3i_dsl.cli.streams import verbatim
from m3i_dsl.diagnostics import Diagnostic, RecipeError

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.source import SourceFile


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "fmt", "lay recipes out", __doc__ or "")
    add_paths(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing; print what is not formatted")
    how.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    add_output_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: done. 1: `--check` or `--diff` found something. 2: a file has syntax errors."""
    from m3i_dsl.syntax.format import format_text

    faults: list[Diagnostic] = []
    changed = False
    for path in expand(arguments.paths):
        file = read(path, arguments.stdin_filename)
        try:
            formatted = format_text(file)
        except RecipeError as fault:
            faults.extend(fault.diagnostics)
            continue
        different = formatted != file.text
        changed |= different
        if arguments.diff:
            verbatim(_diff(file, formatted))
        elif arguments.check:
            if different:
                print(file.name)
        elif path == STDIN:
            verbatim(formatted)
        elif different:
            replace_text(Path(path), formatted)
            print(path)
    if faults:
        report(faults, arguments, sys.stderr)
        return 2
    return 1 if changed and (arguments.check or arguments.diff) else 0


def _diff(file: SourceFile, formatted: str) -> str:
    import difflib

    before, after = file.text.splitlines(keepends=True), formatted.splitlines(keepends=True)
    lines = difflib.unified_diff(before, after, file.name, f"{file.name} (formatted)")
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
