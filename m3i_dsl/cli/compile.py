"""`m3ic compile RECIPE`: checks a recipe, opens its data, and writes what will be trained.

The artifact is a folder of plain text: the canonical recipe, the IR, the graph as people read it, the lock, and a
manifest with the fingerprint. Its path is the one line on standard output; the summary is on standard error. The same
input gives the same bytes. `--emit` prints one stage instead of writing anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import (
    STDIN,
    add_command,
    add_output_format,
    add_passes,
    add_settings,
    add_stdin_name,
    colored,
    read,
    report,
    settings,
)

if TYPE_CHECKING:
    from m3i_dsl.artifact.manifest import Manifest
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.driver import Checked
    from m3i_dsl.source import SourceFile

TARGET = Path("target")
STAGES = ("ast", "recipe", "plain-ir", "ir", "graph")


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "compile", "write what will be trained", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: target/RECIPE")
    parser.add_argument(
        "--emit",
        choices=STAGES,
        help="print a stage: the tree with used files inlined, the canonical recipe, IR before or after passes, graph",
    )
    add_passes(parser)
    add_stdin_name(parser)
    add_settings(parser)
    add_output_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: compiled. 1: the recipe or its data has errors."""
    from m3i_dsl import driver

    file = read(arguments.path, arguments.stdin_filename)
    if arguments.emit == "ast":
        return _tree(file, arguments)
    checked = driver.check_file(file, settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    if checked.program is None:
        return 1
    base = Path(arguments.stdin_filename if arguments.path == STDIN else arguments.path).parent
    if arguments.emit is not None:
        sys.stdout.write(_stage(arguments.emit, checked, base, arguments.passes))
        return 0
    compiled = driver.compile_program(checked.program, base, passes=arguments.passes)
    folder = arguments.output or TARGET / checked.program.name
    manifest = driver.write_artifact(folder, compiled, checked, dict(arguments.settings))
    _summarize(manifest, arguments)
    print(folder)
    return 0


def _tree(file: SourceFile, arguments: argparse.Namespace) -> int:
    """Prints what was parsed; a recipe that parses may still have errors."""
    from m3i_dsl.syntax.load import load_recipe
    from m3i_dsl.syntax.printer import print_recipe

    loaded = load_recipe(file)
    report(loaded.diagnostics, arguments, sys.stderr)
    sys.stdout.write(print_recipe(loaded.recipe))
    return 1 if loaded.diagnostics.has_errors else 0


def _stage(stage: str, checked: Checked, base: Path, passes: Sequence[str] | None) -> str:
    from m3i_dsl import driver
    from m3i_dsl.ir.text import write

    program = checked.required()
    match stage:
        case "recipe":
            return driver.resolve(program)
        case "plain-ir":
            return write(driver.graphs(program)[0])
        case "ir":
            return write(driver.graphs(program, passes)[1])
        case _:
            from m3i_dsl.artifact.summary import listing

            return listing(driver.compile_program(program, base, passes=passes).executable)


def _summarize(manifest: Manifest, arguments: argparse.Namespace) -> None:
    """The six lines that say what was compiled, on standard error."""
    from rich.console import Console

    summary = manifest.summary
    counts, calls = summary.parameters, summary.encoder_calls
    console = Console(stderr=True, no_color=not colored(arguments, sys.stderr), highlight=False)
    names = ", ".join(f"{row.objective}.{row.target}" for row in summary.targets)
    shared = f"{calls.after} a step" + (f" ({calls.before} before the passes)" if calls.before != calls.after else "")
    parameters = f"{counts.trained:,} trained, {counts.averaged:,} averaged, {counts.frozen:,} frozen"
    console.print(f"[bold]compiled[/bold]     {manifest.name}")
    console.print(f"  targets      {names}")
    console.print(f"  encoder runs {shared}")
    console.print(f"  parameters   {parameters}")
    console.print(f"  fingerprint  {manifest.fingerprint[:16]}")
    console.print("  next         m3ic train")
