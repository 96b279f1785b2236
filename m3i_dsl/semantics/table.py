"""The instantiation table: each target of a program as a row in the paper's columns.

Takes: a `Program`. Gives: `Row`s, read off the typed program, not off its text. Guarantees: the words are the table's
own; a combination that the paper's table has is recognised (`ROWS`).
"""

from __future__ import annotations

import itertools
from dataclasses import astuple, dataclass

from m3i_dsl.semantics.program import Objective, Program, Target, TargetReference
from m3i_dsl.semantics.resolve import data_of, names_of

COLUMNS = (
    "input data x",
    "target data y",
    "input representation z_x",
    "target representation z_y",
    "regularization H(p(z_y|t_y))",
    "distribution form P^",
)
"""The columns of the instantiation table (M3I, CVPR 2023)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the cells of `COLUMNS`."""

    input_data: str
    target_data: str
    input_representation: str
    target_representation: str
    regularization: str
    distribution: str

    def cells(self) -> tuple[str, ...]:
        return astuple(self)


def rows(program: Program) -> list[tuple[str, Row]]:
    """The rows of a program with their names: the recipe's, the stage's, and the target's when there are several."""
    found: list[tuple[str, Row]] = []
    whole = program.name if program.stage is None else f"{program.name}.{program.stage}"
    count = sum(len(objective.targets) for objective in program.objectives)
    for objective in program.objectives:
        for target in objective.targets:
            name = whole if count == 1 else f"{whole}.{target.name}"
            found.append((name, row_of(objective, target)))
    return found


def row_of(objective: Objective, target: Target) -> Row:
    """The cells of one target."""
    return Row(
        input_data=_input_data(objective, target),
        target_data=", ".join(data_of(target, _target_data)),
        input_representation=objective.represent.word.table,
        target_representation=target.representation.word.table,
        regularization=_regularization(target),
        distribution=target.distribution.word.family,
    )


def _input_data(objective: Objective, target: Target) -> str:
    if objective.several:
        asked = [shown for reference in target.data for shown in objective.predictors_of(target, reference)]
        inputs = [shown for shown in objective.inputs if shown in asked]
        runs = itertools.groupby(inputs, key=lambda reference: reference.masked)
        return ", ".join(
            f"{'masked ' if masked else ''}{name}" for masked, run in runs for name in names_of(r.view for r in run)
        )
    cells = [f"{'masked ' if r.masked else 'mixed ' if r.blend else ''}{r.view.name}" for r in objective.inputs]
    return cells[0] if objective.mix is None else f"{objective.mix.word.name}({', '.join(cells)})"


def _target_data(reference: TargetReference) -> str:
    name = reference.view.name if reference.view is not None else reference.modality.name
    return name if reference.which is None else f"{name} of {reference.which}"


def _regularization(target: Target) -> str:
    """Every term; `-` for none, as the table writes it."""
    return " + ".join(placed.word.cell() for placed in target.regularizations)


def _regularization_of_table(target: Target) -> str:
    """Without the words that the table does not have, where it has another one."""
    words = [placed.word for placed in target.regularizations]
    return " + ".join(word.cell() for word in [word for word in words if word.in_table] or words)


_DENSE = "dense feature"

ROWS: tuple[tuple[str, Row], ...] = (
    (
        "image_classification",
        Row("view1", "category", _DENSE, "category embedding", "negative categories", "boltzmann"),
    ),
    ("clip", Row("view1", "text", _DENSE, "text embedding", "negative texts", "boltzmann")),
    ("auto_encoder", Row("view1", "view1", _DENSE, "dense pixels", "-", "gaussian")),
    ("dense_distillation", Row("view1", "view1", _DENSE, _DENSE, "stop gradient", "gaussian")),
    ("global_distillation", Row("view1", "view1", _DENSE, "global feature", "stop gradient", "boltzmann")),
    ("mim_pixel", Row("masked view1", "view1", _DENSE, "dense pixels", "-", "gaussian")),
    ("mim_feature", Row("masked view1", "view1", _DENSE, _DENSE, "stop gradient", "gaussian")),
    ("mim_global", Row("masked view1", "view1", _DENSE, "global feature", "stop gradient", "gaussian")),
    ("novel_view_synthesis", Row("view2", "view1", _DENSE, "dense pixels", "-", "gaussian")),
    ("dense_instance_discrimination", Row("view2", "view1", _DENSE, _DENSE, "negative samples", "boltzmann")),
    ("instance_discrimination", Row("view2", "view1", _DENSE, "global feature", "negative samples", "boltzmann")),
    ("siamim_pixel", Row("masked view2", "view1", _DENSE, "dense pixels", "-", "gaussian")),
    ("siamim_feature", Row("masked view2", "view1", _DENSE, _DENSE, "stop gradient", "gaussian")),
    ("siamim_global", Row("masked view2", "view1", _DENSE, "global feature", "negative samples", "boltzmann")),
)
"""The fourteen rows. Where the table lists several regularizations for one row (instance discrimination: negative
samples, stop gradient, or decorrelation) the first is here; `is_known` accepts the others."""

_INSTANCE = {("stop gradient", "gaussian"), ("decorrelation", "gaussian"), ("negative samples", "boltzmann")}


def is_known(objective: Objective, target: Target) -> bool:
    """Whether the combination of a target is in a row of the table, whatever its views are called."""
    row = row_of(objective, target)
    same = all(r.view is None or any(i.shows(r) for i in objective.predictors_of(target, r)) for r in target.data)
    masked = objective.masked
    # Negatives or decorrelation beside a stop gradient (MoCo) are still those of the row.
    regularization = _regularization_of_table(target).removeprefix("stop gradient + ")
    shape = (row.target_representation, regularization, row.distribution)
    if target.representation.word.coded and target.distribution.word.contrasts:
        shape = (_DENSE, "stop gradient", "gaussian")  # the paper counts BEiT as a feature that is predicted
    if row.target_representation == "global feature" and not same:
        return shape[1:] in _INSTANCE
    for _, known in ROWS:
        known_same = known.target_data in ("view1", "category", "text") and not known.input_data.endswith("view2")
        known_shape = (known.target_representation, known.regularization, known.distribution)
        in_table = known.target_data in ("category", "text")
        if shape == known_shape and (
            in_table or (same == known_same and masked == known.input_data.startswith("masked"))
        ):
            return True
    return False
