"""`m3ic eval [RUN]`: measures a trained encoder, always beside the untrained one and raw pixels.

Takes: a run (the last one started by default). Gives: the results on standard output, as a table or as JSON; with
`--report` one self-contained HTML page in the run's folder. Guarantees: exit code 0 when everything was measured, 1 for
a fault; the run is not changed but for its report and `results.json`.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.cli.options import add_command, colored
from m3i_dsl.cli.runs_text import print_parts
from m3i_dsl.cli.stages import add_stage, chosen_run, earlier_stages
from m3i_dsl.cli.train import RUNS

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.evaluation.forgetting import Course
    from m3i_dsl.evaluation.trained_run import TrainedRun
    from m3i_dsl.vocabulary.kinds import Result

REPORT = "report.html"
RESULTS = "results.json"


DESCRIPTION = """\
Measures the encoder of a run as its recipe asks, beside the same encoder untrained and raw pixels.
Prints a table, or JSON, and writes RUN/results.json; with --report also one page with everything.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "eval", "measure a trained encoder", DESCRIPTION)
    add_run(parser)
    parser.add_argument("--report", action="store_true", help=f"write RUN/{REPORT}, one page with everything")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--limit", type=_samples, default=None, metavar="N", help="at most N samples of each split")


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


def _samples(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _evaluate(arguments: argparse.Namespace) -> int:
    from m3i_dsl.evaluation.comparison import results_json, results_table
    from m3i_dsl.evaluation.forgetting import forgetting_json, forgetting_table, sentence
    from m3i_dsl.evaluation.report_page import write_report
    from m3i_dsl.evaluation.run_report import report_data
    from m3i_dsl.evaluation.trained_run import evaluation_of, evaluators_of, measured_encoder, subject_of
    from m3i_dsl.runtime.run_folder import write_json

    trained = opened_run(arguments)
    encoder = measured_encoder(trained.program, arguments.encoder)
    evaluation = evaluation_of(trained, encoder, limit=arguments.limit)
    evaluators = evaluators_of(trained.program)
    if not trained.program.evaluations:
        names = " and ".join(f"`{evaluator.name}`" for evaluator in evaluators)
        say(f"the recipe has no `evaluate` block: measuring {names} as they are by default")
    comparisons = evaluation.compare(evaluators, subject_of(trained.executable, encoder, trained.base))
    found = _forgetting(trained, arguments) if arguments.report else ()
    record: dict[str, Any] = {
        "schema": 2,
        "run": str(trained.path),
        "recipe": trained.program.name,
        "fingerprint": trained.fingerprint,
        "step": trained.step,
        "encoder": encoder,
        "limit": arguments.limit,
        "results": results_json(comparisons),
    }
    if found:
        record["forgetting"] = forgetting_json(found)
    write_json(trained.path / RESULTS, record)
    if arguments.report:
        data = report_data(trained, evaluation, comparisons, encoder)
        notes = tuple(f"{course.name}, last stage - best earlier: {sentence(course)}" for course in found)
        page = write_report(replace(data, notes=(*notes, *data.notes)), trained.path / REPORT)
        record["report"] = str(page)
    if arguments.json:
        print(json.dumps(record, indent=2, allow_nan=False))
        return 0
    tables = [results_table(comparisons), *([forgetting_table(found)] if found else [])]
    print_parts(tables, color=colored(arguments, sys.stdout))
    if arguments.report:
        print(f"report: {record['report']}")
    return 0


def _forgetting(last: TrainedRun, arguments: argparse.Namespace) -> tuple[Course, ...]:
    """The stages up to the one that is measured, each by its own evaluators; nothing for a run without stages."""
    from m3i_dsl.evaluation.forgetting import courses
    from m3i_dsl.evaluation.trained_run import evaluation_of, measured_encoder, results_of, subject_of

    before = earlier_stages(last.path)
    stages: dict[str, dict[tuple[str, str, str], Result]] = {}
    for path in (*before, last.path) if before else ():
        trained = last if path == last.path else _opened(path, arguments)
        stages[path.name] = {}
        if arguments.encoder is not None and arguments.encoder not in trained.program.encoders:
            continue
        encoder = measured_encoder(trained.program, arguments.encoder)
        evaluation = evaluation_of(trained, encoder, limit=arguments.limit)
        subject = subject_of(trained.executable, encoder, trained.base)
        stages[path.name] = results_of(trained, encoder, evaluation, subject)
    return courses(stages)


def opened_run(arguments: argparse.Namespace) -> TrainedRun:
    """The run that was named, the last one started by default; of a run of stages the one that `--stage` names.

    Raises TrainingFault and, from its artifact, RecipeError. A run keeps its own copy of what it trains, so a recipe
    that was edited since does not matter to it.
    """
    from m3i_dsl.runtime.run_folder import latest_path

    folder = chosen_run(arguments, RUNS)
    return _opened(latest_path(RUNS) if folder is None else folder, arguments)


def _opened(folder: Path, arguments: argparse.Namespace) -> TrainedRun:
    from m3i_dsl import driver
    from m3i_dsl.evaluation.open_run import open_run

    load = functools.partial(driver.load_artifact, folder / "artifact", allow_stale=True, load_weights=False)
    return open_run(folder, load, arguments.device, say)


def say(text: str) -> None:
    """A remark, which leaves standard output to the results."""
    print(text, file=sys.stderr)
