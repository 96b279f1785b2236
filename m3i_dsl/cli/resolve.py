"""`m3ic resolve RECIPE`: the recipe with every default written out and every used file inlined.

The text on standard output compiles to the same program. With `--origins`, a table instead: each value that the recipe
leaves to a default, and where that default comes from (the paper, a reference implementation, or our choice).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, add_settings, add_stdin_name, colored, read, report, settings
from m3i_dsl.cli.streams import verbatim

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "resolve", "write every default out", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    parser.add_argument("--origins", action="store_true", help="where each default comes from, as a table")
    parser.add_argument("--json", action="store_true", help="with --origins: as JSON")
    add_stdin_name(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: resolved. 1: the recipe has errors."""
    from m3i_dsl.driver import check_file, resolve
    from m3i_dsl.semantics.origins import defaults

    checked = check_file(read(arguments.path, arguments.stdin_filename), settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    if checked.pipeline is None:
        return 1
    if not arguments.origins:
        verbatim(resolve(checked.pipeline))
        return 0
    found = list(dict.fromkeys(default for program in checked.pipeline.stages for default in defaults(program)))
    if arguments.json:
        import json

        print(json.dumps([default.record() for default in found], indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("where", "value", "from", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for default in found:
        table.add_row(default.where, default.text, default.origin)
    Console(no_color=not colored(arguments, sys.stdout)).print(table)
    return 0
