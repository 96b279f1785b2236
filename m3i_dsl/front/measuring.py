"""A run's encoder, measured as its recipe asks.

Takes: a run's folder. Gives: `Measured`: each result beside its baselines, and what stages forgot. Guarantees: the run
is not changed but for `results.json` and its report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.front.opening import earlier_stages, opened, say
from m3i_dsl.front.request import Device

if TYPE_CHECKING:
    from m3i_dsl.evaluation.comparison import Comparison
    from m3i_dsl.evaluation.forgetting import Course
    from m3i_dsl.evaluation.trained_run import TrainedRun
    from m3i_dsl.vocabulary.kinds import Result

REPORT = "report.html"
RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """`record` is what `results.json` holds; `courses` what each measurement was after each stage, when asked for;
    `left_out` says which samples no result is of.
    """

    comparisons: tuple[Comparison, ...]
    courses: tuple[Course, ...]
    record: Mapping[str, Any]
    report: Path | None
    left_out: tuple[str, ...]


def measure(
    folder: Path,
    *,
    encoder: str | None = None,
    limit: int | None = None,
    report: bool = False,
    device: Device = "auto",
    workers: int = 0,
) -> Measured:
    """Measures `encoder` (default: the one that the first objective trains) of the run in `folder`.

    `limit` takes at most so many samples of each split; `workers` are processes that decode; `report` also writes one
    page with everything, and for a run of stages measures those before it. Raises TrainingFault, RecipeError, and
    WordError of a source.
    """
    from m3i_dsl.evaluation.comparison import results_json
    from m3i_dsl.evaluation.forgetting import forgetting_json, sentence
    from m3i_dsl.evaluation.report_page import write_report
    from m3i_dsl.evaluation.run_report import report_data
    from m3i_dsl.evaluation.trained_run import evaluation_of, evaluators_of, measured_encoder, subject_of
    from m3i_dsl.runtime.run_folder import write_json

    trained = opened(folder, device)
    chosen = measured_encoder(trained.program, encoder)
    evaluation = evaluation_of(trained, chosen, limit=limit, workers=workers)
    evaluators = evaluators_of(trained.program)
    if not trained.program.evaluations:
        names = " and ".join(f"`{evaluator.name}`" for evaluator in evaluators)
        say(f"the recipe has no `evaluate` block: measuring {names} as they are by default")
    comparisons = evaluation.compare(evaluators, subject_of(trained.executable, chosen, trained.base))
    courses = _courses(trained, encoder, limit, device, workers) if report else ()
    record: dict[str, Any] = {
        "schema": 2,
        "run": str(trained.path),
        "recipe": trained.program.name,
        "fingerprint": trained.fingerprint,
        "step": trained.step,
        "encoder": chosen,
        "limit": limit,
        "left_out": [left_out.plain() for left_out in evaluation.left_out],
        "results": results_json(comparisons),
    }
    if courses:
        record["forgetting"] = forgetting_json(courses)
    write_json(trained.path / RESULTS, record)
    page: Path | None = None
    if report:
        data = report_data(trained, evaluation, comparisons, chosen)
        notes = tuple(f"{course.name}, last stage - best earlier: {sentence(course)}" for course in courses)
        page = write_report(replace(data, notes=(*notes, *data.notes)), trained.path / REPORT)
        record["report"] = str(page)
    left_out = tuple(left_out.text() for left_out in evaluation.left_out)
    return Measured(tuple(comparisons), courses, record, page, left_out)


def _courses(
    last: TrainedRun, encoder: str | None, limit: int | None, device: Device, workers: int
) -> tuple[Course, ...]:
    """The stages up to the one that is measured, each by its own evaluators; nothing for a run without stages."""
    from m3i_dsl.evaluation.forgetting import courses
    from m3i_dsl.evaluation.trained_run import evaluation_of, measured_encoder, results_of, subject_of

    before = earlier_stages(last.path)
    stages: dict[str, dict[tuple[str, str, str], Result]] = {}
    for path in (*before, last.path) if before else ():
        trained = last if path == last.path else opened(path, device)
        stages[path.name] = {}
        if encoder is not None and encoder not in trained.program.encoders:
            continue
        chosen = measured_encoder(trained.program, encoder)
        evaluation = evaluation_of(trained, chosen, limit=limit, workers=workers)
        subject = subject_of(trained.executable, chosen, trained.base)
        stages[path.name] = results_of(trained, chosen, evaluation, subject)
    return courses(stages)
