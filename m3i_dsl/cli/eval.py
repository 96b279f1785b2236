"""`m3ic eval [RUN]`: measures a trained encoder, always beside the untrained one and raw pixels.

Takes: a run (the last one started by default). Gives: the results on standard output, as a table or as JSON; with
`--report` one self-contained HTML page in the run's folder. Guarantees: exit code 0 when everything was measured, 1 for
a fault; the run is not changed but for its report and `results.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, colored, whole_number
from m3i_dsl.cli.runs_text import print_parts
from m3i_dsl.cli.stages import add_stage
from m3i_dsl.front.opening import run_folder_of

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers

DESCRIPTION = """\
Measures the encoder of a run as its recipe asks, beside the same encoder untrained and raw pixels.
Prints a table, or JSON, and writes RUN/results.json; with --report also one page with everything.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "eval", "measure a trained encoder", DESCRIPTION)
    add_run(parser)
    parser.add_argument("--report", action="store_true", help="write RUN/report.html, one page with everything")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--limit", type=whole_number(1), default=None, metavar="N", help="at most N samples of each split"
    )
    parser.add_argument("--workers", type=whole_number(0), default=0, metavar="N", help="processes that decode images")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose what was trained."""
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a run's folder (default: the last one)")
    add_stage(parser)
    parser.add_argument("--encoder", metavar="NAME", help="an encoder of the recipe (default: the one it trains)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from m3i_dsl.runtime.faults import TrainingFault
    from m3i_dsl.vocabulary.kinds import WordError

    try:
        return _evaluate(arguments)
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
    except WordError as fault:
        print(f"error: {fault.message}" + (f"\n  = help: {fault.help}" if fault.help else ""), file=sys.stderr)
    return 1


def _evaluate(arguments: argparse.Namespace) -> int:
    from m3i_dsl.evaluation.comparison import results_table
    from m3i_dsl.evaluation.forgetting import forgetting_table
    from m3i_dsl.front.measuring import measure

    measured = measure(
        run_folder_of(arguments.run, arguments.stage),
        encoder=arguments.encoder,
        limit=arguments.limit,
        report=arguments.report,
        device=arguments.device,
        workers=arguments.workers,
    )
    if arguments.json:
        print(json.dumps(measured.record, indent=2, allow_nan=False))
        return 0
    tables = [results_table(measured.comparisons)]
    if measured.courses:
        tables.append(forgetting_table(measured.courses))
    print_parts(tables, color=colored(arguments, sys.stdout))
    for text in measured.left_out:
        print(text)
    if measured.report is not None:
        print(f"report: {measured.report}")
    return 0
