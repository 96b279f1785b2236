"""What a stage forgot of those before it.

Takes: the results of each evaluator after each stage. Gives: one `Course` for each evaluator, and all of them as a
table, as sentences and as JSON. Guarantees: forgetting is F = best earlier result - last result; its standard error is
paired over the same test samples; it is marked when it is more than two of them; an evaluator that some stage does not
have leaves a gap there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from m3i_dsl.evaluation.comparison import Comparison, Difference
from m3i_dsl.vocabulary.kinds import Measure, Result

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Course:
    """One evaluator over the stages: its `name`, its line in canonical text, and the `data` that it was measured on.

    `results` are by the name of the stage, in order; None where the stage does not have the evaluator.
    """

    name: str
    evaluator: str
    data: str
    results: Mapping[str, Result | None]

    @property
    def measure(self) -> Measure:
        return next(result.measure for result in self.results.values() if result is not None)

    @property
    def best(self) -> str | None:
        """The earlier stage with the best result, the first of equals; None without one, or without a last result."""
        *earlier, last = self.results
        measured = {stage: result for stage in earlier if (result := self.results[stage]) is not None}
        if not measured or self.results[last] is None:
            return None
        return list(measured)[self.measure.best([result.value for result in measured.values()])]

    @property
    def forgetting(self) -> Difference | None:
        """F: how much better the best earlier result is than the last one, with its standard error."""
        if self.best is None:
            return None
        best, last = self.results[self.best], [*self.results.values()][-1]
        assert best is not None and last is not None
        return Comparison(self.name, self.evaluator, best, {}).difference(last)

    @property
    def forgot(self) -> bool:
        """Whether F is above 0 by more than two standard errors."""
        return self.forgetting is not None and self.forgetting.clear


def courses(stages: Mapping[str, Mapping[tuple[str, str, str], Result]]) -> tuple[Course, ...]:
    """From the results of each stage, in order, by name and text of the evaluator and name of the data."""
    keys = dict.fromkeys(key for results in stages.values() for key in results)
    return tuple(Course(*key, {stage: results.get(key) for stage, results in stages.items()}) for key in keys)


def sentence(course: Course) -> str:
    """`-2.1 +- 0.3  forgot since 1-dino`: how the last result stands to the best earlier one."""
    found = course.forgetting
    if found is None:
        return ""
    change = found.measure.change(-found.value)
    if found.standard_error is not None:
        change += f" +- {found.measure.error(found.standard_error)}"
    return f"{change}  forgot since {course.best}" if course.forgot else change


def forgetting_table(found: Sequence[Course]) -> Table:
    """Evaluators x stages, and what was forgotten."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title="after each stage", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("measurement")
    table.add_column("measure")
    for stage in found[0].results if found else ():
        table.add_column(stage, justify="right")
    table.add_column("last - best earlier")
    for course in found:
        cells = ("-" if result is None else result.measure.number(result.value) for result in course.results.values())
        table.add_row(
            course.name, course.measure.heading, *cells, Text(sentence(course), style="red" if course.forgot else "")
        )
    return table


def forgetting_json(found: Sequence[Course]) -> list[dict[str, Any]]:
    """The same numbers as plain data, shares in [0, 1]; `forgetting` is the best earlier value less the last one."""
    rows: list[dict[str, Any]] = []
    for course in found:
        lost = course.forgetting
        rows.append(
            {
                "name": course.name,
                "evaluator": course.evaluator,
                "data": course.data,
                "measure": course.measure.plain(),
                "stages": {
                    stage: None if result is None else {"value": result.value, "standard_error": result.standard_error}
                    for stage, result in course.results.items()
                },
                "best_earlier": course.best,
                "forgetting": None if lost is None else {"value": lost.value, "standard_error": lost.standard_error},
                "forgot": course.forgot,
            }
        )
    return rows
