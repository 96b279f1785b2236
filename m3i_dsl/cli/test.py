"""`m3ic test RECIPE`: property tests of a recipe, on a tiny version of it.

The compiler shrinks the recipe (same words and wiring, small sizes, synthetic batches: no data is read) and tests what
must hold of any objective: finite losses, stop gradients that hold, masks that do not leak, no constant solution, and
so on. A table of what was measured is on standard output, progress on standard error. Exit code 1 when a property does
not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import (
    CliError,
    add_command,
    add_output_format,
    add_settings,
    add_stdin_name,
    colored,
    read,
    report,
    settings,
)
from m3i_dsl.cli.stages import add_stage, program_of, say_stage

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.semantics.program import Program
    from m3i_dsl.testing import Outcome, Property

_STYLES = {"passed": "green", "failed": "bold red", "not applicable": "dim"}


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "test", "test properties of a recipe on a tiny version of it", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    parser.add_argument("--only", type=_names, default=(), metavar="PROPERTY,...", help="only these properties")
    parser.add_argument("--skip", type=_names, default=(), metavar="PROPERTY,...", help="leave these out")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and batches (default: 0)")
    parser.add_argument("--json", action="store_true", help="the outcomes as JSON")
    add_stage(parser)
    add_stdin_name(parser)
    add_settings(parser)
    add_output_format(parser)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(arguments: argparse.Namespace) -> int:
    """0: all properties hold. 1: the recipe has errors, or a property does not hold."""
    from m3i_dsl.driver import check_file

    checked = check_file(read(arguments.path, arguments.stdin_filename), settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    program = program_of(checked, arguments)
    if program is None:
        return 1
    say_stage(checked, arguments)
    outcomes = _outcomes(program, arguments)
    if arguments.json:
        _print_json(program, outcomes, arguments)
    else:
        _print_table(outcomes, arguments)
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _STYLES}
    print(", ".join(f"{count} {status}" for status, count in counts.items() if count), file=sys.stderr)
    return 1 if counts["failed"] else 0


def _outcomes(program: Program, arguments: argparse.Namespace) -> list[Outcome]:
    import torch

    from m3i_dsl.lower.parts import PartFault
    from m3i_dsl.testing import check_properties
    from m3i_dsl.vocabulary.kinds import WordError

    properties = _chosen(arguments)
    found: list[Outcome] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for tensors this small, waiting for each other takes longer than computing
    try:
        with _progress(arguments) as progress:
            task = progress.add_task("", total=len(properties))
            for outcome in check_properties(program, properties, seed=arguments.seed):
                found.append(outcome)
                progress.update(task, advance=1, description=outcome.name)
    except (PartFault, WordError) as fault:
        raise CliError(f"a tiny version of `{program.name}` cannot be built: {fault}") from None
    finally:
        torch.set_num_threads(threads)
    return found


def _chosen(arguments: argparse.Namespace) -> Sequence[Property]:
    from m3i_dsl.testing import PROPERTIES
    from m3i_dsl.testing.run import UnknownProperty, chosen

    try:
        properties = chosen(arguments.only, arguments.skip)
    except UnknownProperty as fault:
        names = ", ".join(tested.name for tested in PROPERTIES)
        raise CliError(
            f"{fault}; {f'did you mean `{fault.near[0]}`?' if fault.near else f'there are {names}'}"
        ) from None
    if not properties:
        raise CliError("no property is left to test")
    return properties


def _progress(arguments: argparse.Namespace):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, no_color=not colored(arguments, sys.stderr))
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())


def _print_table(outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("property", "result"):
        table.add_column(name, no_wrap=True)
    table.add_column("what was found")
    for outcome in outcomes:
        found = f"{outcome.message}\n{outcome.place}" if outcome.place else outcome.message
        table.add_row(outcome.name, Text(outcome.status, _STYLES[outcome.status]), Text(found))
    Console(no_color=not colored(arguments, sys.stdout), highlight=False).print(table)


def _print_json(program: Program, outcomes: Sequence[Outcome], arguments: argparse.Namespace) -> None:
    properties = [
        {
            "name": outcome.name,
            "status": outcome.status,
            "message": outcome.message,
            "file": outcome.span.file.name if outcome.span is not None else None,
            "line": outcome.span.line if outcome.span is not None else None,
            "seconds": round(outcome.seconds, 3),
        }
        for outcome in outcomes
    ]
    print(json.dumps({"recipe": program.name, "seed": arguments.seed, "properties": properties}, indent=2))
