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
from typing import TYPE_CHECKING, Any

from m3i_dsl.cli.options import add_command, colored
from m3i_dsl.cli.train import RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.evaluation.trained_run import TrainedRun
    from m3i_dsl.vocabulary.kinds import Evaluator

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
    from rich.console import Console

    from m3i_dsl.evaluation.report import write_report
    from m3i_dsl.evaluation.result import results_json, results_table
    from m3i_dsl.evaluation.run_report import report_data
    from m3i_dsl.evaluation.trained_run import evaluation_of, measured_encoder, subject_of
    from m3i_dsl.runtime.run_folder import write_text

    trained = load_run(arguments.run, arguments.device)
    encoder = measured_encoder(trained.program, arguments.encoder)
    evaluation = evaluation_of(trained, encoder, limit=arguments.limit)
    comparisons = evaluation.compare(_evaluators(trained), subject_of(trained.executable, encoder, trained.base))
    record: dict[str, Any] = {
        "run": str(trained.path),
        "recipe": trained.program.name,
        "fingerprint": trained.fingerprint,
        "step": trained.step,
        "encoder": encoder,
        "limit": arguments.limit,
        "results": results_json(comparisons),
    }
    write_text(trained.path / RESULTS, json.dumps(record, indent=2, allow_nan=False) + "\n")
    if arguments.report:
        page = write_report(report_data(trained, evaluation, comparisons, encoder), trained.path / REPORT)
        record["report"] = str(page)
    if arguments.json:
        print(json.dumps(record, indent=2, allow_nan=False))
        return 0
    Console(no_color=not colored(arguments, sys.stdout), highlight=False).print(results_table(comparisons))
    if arguments.report:
        print(f"report: {record['report']}")
    return 0


def _evaluators(trained: TrainedRun) -> Sequence[Evaluator]:
    """What the recipe asks for, each once; kNN and the linear probe for a recipe that asks for nothing."""
    from m3i_dsl.vocabulary.evaluators import Knn, Linear

    declared = list(dict.fromkeys(evaluation.evaluator.word for evaluation in trained.program.evaluations))
    if declared:
        return declared
    print("the recipe has no `evaluate` block: measuring `knn` and `linear` as they are by default", file=sys.stderr)
    return [Knn(), Linear()]


def load_run(path: Path | None, device: str) -> TrainedRun:
    """The run in `path` (None: the last one started) with the weights of its newest checkpoint that verifies.

    Raises TrainingFault (M3I0707 no run, M3I0755 no checkpoint, M3I0702 damaged) and, from its artifact, RecipeError.
    """
    from m3i_dsl import driver
    from m3i_dsl.evaluation import errors
    from m3i_dsl.evaluation.trained_run import TrainedRun
    from m3i_dsl.runtime.checkpoints.store import CheckpointStore
    from m3i_dsl.runtime.options import device_named
    from m3i_dsl.runtime.run_folder import latest_path, read_identity

    folder = latest_path(RUNS) if path is None else path
    identity = read_identity(folder)
    checkpoint, notices = CheckpointStore(folder / "checkpoints").newest()
    for notice in notices:
        print(notice.text(), file=sys.stderr)
    if checkpoint is None:
        raise errors.EvaluationError(
            errors.NOT_TRAINED,
            f"run `{folder}` has no checkpoint yet",
            help="let it train until its first checkpoint, or continue it with `m3ic train --resume`",
        )
    # A run keeps its own copy of what it trains, so a recipe that was edited since does not matter to it.
    artifact, executable = driver.load_artifact(folder / "artifact", allow_stale=True, load_weights=False)
    checkpoint.read_weights(executable.module)
    chosen = device_named("auto" if device == "auto" else "cuda" if device == "cuda" else "cpu")
    executable.module.to(chosen)
    return TrainedRun(
        path=folder,
        executable=executable,
        base=artifact.base,
        untrained=lambda: driver.load_artifact(folder / "artifact", allow_stale=True, load_weights=False)[1],
        categories={name: locked.categories for name, locked in artifact.lock.data.items()},
        step=checkpoint.step,
        fingerprint=identity.fingerprint,
        device=chosen,
    )
