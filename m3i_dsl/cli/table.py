"""`m3ic table RECIPE...`: the targets of recipes as rows of the paper's instantiation table, column for column.

The rows are read off the checked program, not off its text. `--results RUN...` prints the paper's tables of results in
its place, each number of the paper beside what runs here measured (recipes/references.toml says where they are from).
`--markdown` and `--json` for documents and scripts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, add_paths, add_settings, colored, expand, is_part, read, report, settings
from m3i_dsl.diagnostics import Severity
from m3i_dsl.front.wrong_use import WrongUse

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.semantics.table import Row


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "table", "print recipes as rows of the table", __doc__ or "")
    add_paths(parser, required=False)
    add_settings(parser)
    parser.add_argument(
        "--results", nargs="*", type=Path, metavar="RUN", help="the paper's results beside those of these runs"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="a Markdown table")
    form.add_argument("--json", action="store_true", help="a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """0: printed. 1: a recipe has errors, or a folder is no run. 2: neither recipes nor `--results`."""
    if arguments.results is not None:
        return _results(arguments)
    if not arguments.paths:
        raise WrongUse("name a recipe or a folder of recipes, or `--results`")
    from m3i_dsl.driver import check_file
    from m3i_dsl.semantics.table import COLUMNS, rows

    values = settings(arguments)
    found: list[tuple[str, Row]] = []
    failed = False
    for path in expand(arguments.paths):
        file = read(path, arguments.stdin_filename)
        if path not in arguments.paths and is_part(file):
            continue
        checked = check_file(file, values)
        report([d for d in checked.diagnostics if d.severity is Severity.ERROR], arguments, sys.stderr)
        failed |= checked.pipeline is None
        for program in checked.pipeline.stages if checked.pipeline is not None else ():
            found += rows(program)
    if arguments.json:
        import json

        print(
            json.dumps([{"row": name, **dict(zip(COLUMNS, row.cells(), strict=True))} for name, row in found], indent=2)
        )
    elif arguments.markdown:
        print(_markdown_row(("", *COLUMNS)))
        print(_markdown_row(("---",) * (len(COLUMNS) + 1)))
        for name, row in found:
            print(_markdown_row((name, *row.cells())))
    elif found:
        _print_table(found, COLUMNS, colored(arguments, sys.stdout))
    return 1 if failed else 0


def _results(arguments: argparse.Namespace) -> int:
    from m3i_dsl.cli import reference_text
    from m3i_dsl.runtime.faults import TrainingFault
    from m3i_dsl.scaffold.references import measured, references

    if arguments.paths:
        raise WrongUse("`--results` prints the paper's tables, of which no recipe is one: leave the recipes out")
    try:
        runs = [measured(run) for run in arguments.results]
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        return 1
    if arguments.json:
        print(reference_text.as_json(references(), runs))
    else:
        print(reference_text.printed(references(), runs, markdown=arguments.markdown))
    return 0


def _markdown_row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _print_table(found: list[tuple[str, Row]], columns: tuple[str, ...], color: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for name, row in found:
        table.add_row(name, *row.cells())
    console = Console(no_color=not color, highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    # A file or a pipe has no width, so no cell is wrapped, and lines do not end in the padding of the last column.
    wide = Console(no_color=True, highlight=False, width=240)
    with wide.capture() as printed:
        wide.print(table)
    print("\n".join(line.rstrip() for line in printed.get().strip("\n").splitlines()))
