"""`m3ic opt RECIPE`: what each pass makes of the graph.

Without options, a table of the passes: their tiers, what they change, and the encoder calls that are left. With
`--print-after` the lines that a pass changed, or each that changed something. `--verify` runs every stage beside the
plain graph, in float64, on a small version of the recipe: outputs, gradients, buffers and random numbers must be equal.
Needs no data, and without `--verify` no torch.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import (
    CliError,
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
from m3i_dsl.cli.stages import add_stage, program_of, say_stage
from m3i_dsl.cli.streams import verbatim

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.passes import Stage
    from m3i_dsl.semantics.program import Program


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "opt", "what each pass makes of the graph", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    add_passes(parser)
    parser.add_argument(
        "--print-after",
        metavar="PASS|changed|all",
        help="print what this pass changed, what each that changed something did, or all graphs in full",
    )
    parser.add_argument("--verify", action="store_true", help="compare each stage with the plain graph, in float64")
    add_stage(parser)
    add_stdin_name(parser)
    add_settings(parser)
    add_output_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: done. 1: the recipe has errors, or a stage is not equal to the plain graph."""
    from m3i_dsl import driver
    from m3i_dsl.ir.build import build
    from m3i_dsl.passes import PIPELINE, passes_named, run

    checked = driver.check_file(read(arguments.path, arguments.stdin_filename), settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    program = program_of(checked, arguments)
    if program is None:
        return 1
    say_stage(checked, arguments)
    passes = PIPELINE if arguments.passes is None else passes_named(arguments.passes)
    stages = run(build(program), program.training.batch, passes)
    shown = _shown(stages, arguments.print_after)
    if shown is None:
        _table(stages, arguments)
    else:
        verbatim(shown)
    return _verify(program, stages, arguments) if arguments.verify else 0


def _shown(stages: Sequence[Stage], what: str | None) -> str | None:
    from m3i_dsl.ir.text import write
    from m3i_dsl.passes import NAMES

    if what is None:
        return None
    if what == "all":
        return "".join(f"# after {stage.applied.name}\n{write(stage.after)}\n" for stage in stages)
    if what == "changed":
        return "".join(_difference(stage) for stage in stages if stage.changed)
    if what not in NAMES:
        raise CliError(f"there is no pass `{what}`: name one of {', '.join(NAMES)}, or `changed`, or `all`")
    return "".join(_difference(stage) for stage in stages if stage.applied.name == what)


def _difference(stage: Stage) -> str:
    """The lines that the pass changed, with values numbered as each graph numbers them."""
    from m3i_dsl.ir.text import write

    before, after = (write(graph).splitlines() for graph in (stage.before, stage.after))
    name = stage.applied.name
    lines = difflib.unified_diff(before, after, f"before {name}", f"after {name}", lineterm="", n=1)
    return "".join(f"{line}\n" for line in lines) or f"{name} changes nothing\n"


def _table(stages: Sequence[Stage], arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from m3i_dsl.ir.graph import encoder_calls

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("pass", no_wrap=True)
    table.add_column("tier", no_wrap=True)
    table.add_column("operations", justify="right", no_wrap=True)
    table.add_column("encoder runs", justify="right", no_wrap=True)
    table.add_column("changed")
    for stage in stages:
        counts = [(len(graph.equations), encoder_calls(graph)) for graph in (stage.before, stage.after)]
        cells = [_change(before, after) for before, after in zip(*counts, strict=True)]
        changed, style = ("yes", None) if stage.changed else ("", "dim")
        table.add_row(stage.applied.name, stage.applied.tier, *cells, changed, style=style)
    Console(no_color=not colored(arguments, sys.stdout), highlight=False).print(table)


def _change(before: int, after: int) -> str:
    return str(after) if before == after else f"{before} -> {after}"


def _verify(program: Program, stages: Sequence[Stage], arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from m3i_dsl.testing.verify import verify

    console = Console(stderr=True, no_color=not colored(arguments, sys.stderr), highlight=False)
    failed = 0
    for verdict in verify(program, [stage.applied for stage in stages]):
        if not verdict.changed:
            console.print(f"[dim]unchanged[/dim] {verdict.name}")
        elif verdict.fault is None:
            console.print(f"[green]equal[/green]     {verdict.name}")
        else:
            failed += 1
            console.print(f"[red]differs[/red]   {verdict.name}: {verdict.fault}")
    return 1 if failed else 0
