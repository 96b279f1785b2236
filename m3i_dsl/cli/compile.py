"""`m3ic compile RECIPE`: checks a recipe, opens its data, and writes what will be trained.

The artifact is a folder of plain text: the canonical recipe, the IR, the graph as people read it, the lock, and a
manifest with the fingerprint. Its path is the one line on standard output; the summary is on standard error. The same
input gives the same bytes. `--emit` prints one stage instead of writing anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
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
from m3i_dsl.cli.stages import add_stage, program_of
from m3i_dsl.cli.streams import verbatim

if TYPE_CHECKING:
    from m3i_dsl.artifact.manifest import Manifest
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.diagnostics import Diagnostic
    from m3i_dsl.semantics.pipeline import Pipeline
    from m3i_dsl.semantics.program import Program
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
    add_stage(parser)
    add_passes(parser)
    add_stdin_name(parser)
    add_settings(parser)
    add_output_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: compiled. 1: the recipe or its data has errors."""
    from m3i_dsl.artifact.pointer import note_failure

    code = 1
    try:
        code = _compile(arguments)
    finally:
        if code != 0 and arguments.emit is None:
            note_failure(arguments.stdin_filename if arguments.path == STDIN else arguments.path)
    return code


def _compile(arguments: argparse.Namespace) -> int:
    from m3i_dsl import driver

    file = read(arguments.path, arguments.stdin_filename)
    if arguments.emit == "ast":
        return _tree(file, arguments)
    checked = driver.check_file(file, settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    program = program_of(checked, arguments)
    if checked.pipeline is None or program is None:
        return 1
    base = Path(arguments.stdin_filename if arguments.path == STDIN else arguments.path).parent
    if arguments.emit is not None:
        verbatim(_stage(arguments.emit, checked.pipeline, program, base, arguments.passes))
        return 0
    folder = arguments.output or TARGET / program.name
    if checked.pipeline.staged:
        stages = driver.compile_stages(checked.pipeline, base, passes=arguments.passes)
        _remark(dict.fromkeys(found for stage in stages.stages for found in stage.diagnostics), arguments)
        pipeline, manifests = driver.write_stages(folder, stages, checked, dict(arguments.settings))
        for place, (record, manifest) in enumerate(zip(pipeline.stages, manifests, strict=True)):
            _summarize(manifest, record.fingerprint, f"{manifest.name}, stage {place + 1} `{record.name}`", arguments)
    else:
        compiled = driver.compile_program(program, base, passes=arguments.passes)
        _remark(compiled.diagnostics, arguments)
        manifest = driver.write_artifact(folder, compiled, checked, dict(arguments.settings))
        _summarize(manifest, manifest.fingerprint, manifest.name, arguments)
    _say("  next         m3ic train", arguments)
    print(folder)
    return 0


def _remark(found: Collection[Diagnostic], arguments: argparse.Namespace) -> None:
    """What was said of the data, if anything was."""
    if found:
        report(found, arguments, sys.stderr)


def _tree(file: SourceFile, arguments: argparse.Namespace) -> int:
    """Prints what was parsed; a recipe that parses may still have errors."""
    from m3i_dsl.syntax.load import load_recipe
    from m3i_dsl.syntax.printer import print_recipe

    loaded = load_recipe(file)
    report(loaded.diagnostics, arguments, sys.stderr)
    verbatim(print_recipe(loaded.recipe))
    return 1 if loaded.diagnostics.has_errors else 0


def _stage(stage: str, pipeline: Pipeline, program: Program, base: Path, passes: Sequence[str] | None) -> str:
    from m3i_dsl import driver
    from m3i_dsl.ir.text import write

    match stage:
        case "recipe":
            return driver.resolve(pipeline)
        case "plain-ir":
            return write(driver.graphs(program)[0])
        case "ir":
            return write(driver.graphs(program, passes)[1])
        case _:
            from m3i_dsl.artifact.summary import listing

            return listing(driver.compile_program(program, base, passes=passes).executable)


def _summarize(manifest: Manifest, fingerprint: str, name: str, arguments: argparse.Namespace) -> None:
    """The lines that say what was compiled, on standard error."""
    summary = manifest.summary
    counts, calls = summary.parameters, summary.encoder_calls
    names = ", ".join(f"{row.objective}.{row.target}" for row in summary.targets)
    shared = f"{calls.after} a step" + (f" ({calls.before} before the passes)" if calls.before != calls.after else "")
    parameters = f"{counts.trained:,} trained, {counts.averaged:,} averaged, {counts.frozen:,} frozen"
    _say(f"[bold]compiled[/bold]     {name}", arguments)
    _say(f"  targets      {names}", arguments)
    _say(f"  encoder runs {shared}", arguments)
    _say(f"  parameters   {parameters}", arguments)
    _say(f"  fingerprint  {fingerprint[:16]}", arguments)


def _say(line: str, arguments: argparse.Namespace) -> None:
    from rich.console import Console

    Console(stderr=True, no_color=not colored(arguments, sys.stderr), highlight=False).print(line)
