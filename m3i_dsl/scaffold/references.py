"""The paper's numbers, and what a run here measured beside them.

Takes: `recipes/references.toml`, and folders of runs. Gives: `ReferenceTable`, as the slides have them, and `Measured`.
Guarantees: numbers of the paper and numbers of a run are never in one value; no torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m3i_dsl.artifact.manifest import COPY, RECIPE
from m3i_dsl.front.measuring import RESULTS
from m3i_dsl.front.opening import run_folder_of
from m3i_dsl.front.wrong_use import WrongUse
from m3i_dsl.scaffold.shipped import folder
from m3i_dsl.vocabulary.kinds.measures import recorded_measure
from m3i_dsl.vocabulary.values import duration_text, number_text

FILE = "references.toml"


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A row of the slides: `numbers` by what they measure, and the `recipes` that are its method here."""

    row: str
    name: str
    recipes: tuple[str, ...]
    numbers: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """`place` says where on the slides it stands."""

    name: str
    place: str
    rows: tuple[ReferenceRow, ...]

    def columns(self) -> tuple[str, ...]:
        """What its numbers measure, in the order of the file."""
        return tuple(dict.fromkeys(measure for row in self.rows for measure in row.numbers))


@dataclass(frozen=True, slots=True)
class Measured:
    """What `m3ic eval` found of a run: a text for each evaluator, with its unit, and on what it was trained."""

    run: str
    recipe: str
    results: Mapping[str, str]
    data: str
    length: str
    plain: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The `results` of `results.json`."""


def references() -> tuple[ReferenceTable, ...]:
    """All tables of the file."""
    content = tomllib.loads((folder() / FILE).read_text(encoding="utf-8"))
    return tuple(
        ReferenceTable(table["name"], table["place"], tuple(map(_row, table["rows"]))) for table in content["table"]
    )


def _row(row: Mapping[str, Any]) -> ReferenceRow:
    return ReferenceRow(row["row"], row["name"], tuple(row["recipes"]), row["numbers"], row.get("note", ""))


def measured(run: Path) -> Measured:
    """The results of a run, of its last stage if it has some.

    Raises TrainingFault (M3I0707: no run), WrongUse (not measured yet) and RecipeError (its recipe is damaged).
    """
    path = run_folder_of(run, None)
    try:
        record = json.loads((path / RESULTS).read_text(encoding="utf-8"))
        results = {str(each["name"]): each for each in record["results"]}
        texts = {name: _text(each) for name, each in results.items()}
        recipe = str(record["recipe"])
    except FileNotFoundError:
        raise WrongUse(f"`{run}` is not measured: run `m3ic eval {run}` first") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise WrongUse(f"`{path / RESULTS}` is damaged: run `m3ic eval {run}` again") from None
    data, length = _trained_on(path)
    return Measured(str(run), recipe, texts, data, length, results)


def _text(result: Mapping[str, Any]) -> str:
    measure = recorded_measure(result["name"], result["measure"])
    error = result["trained"]["standard_error"]
    behind = "" if error is None else f" +- {measure.error(float(error))}"
    return f"{measure.number(float(result['trained']['value']))}{behind} {measure.unit}".rstrip()


def _trained_on(path: Path) -> tuple[str, str]:
    """The data of a run as its recipe writes them, and how long it was to train."""
    from m3i_dsl.driver import check_file
    from m3i_dsl.source import read_file

    program = check_file(read_file(path / COPY / RECIPE)).required()
    sources = ", ".join(data.source.word.text() for data in program.data.values())
    training = program.training
    sizes = " and ".join(sorted({number_text(view.size[0], "px") for view in program.views.values()}))
    return f"{sources}, {sizes}", f"{duration_text(training.length)}, batch {training.batch}"
