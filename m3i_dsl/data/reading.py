"""What is read of each source for a step.

Takes: the typed program and the inputs of its graph. Gives: for each source in use its fields and its rows of a batch,
and where the categories of a mixture's sources are among those of the whole. Guarantees: only what an input needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.data.sources import SourceFault
from m3i_dsl.ir.inputs import BatchInput, BlendInput, FieldInput, GeometryInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.semantics.categories import labels_in
from m3i_dsl.semantics.pattern import Pattern
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import WordError


@dataclass(frozen=True, slots=True)
class Reading:
    """The `fields` of `source` that are read for `data`, which is itself or a mixture with a `pattern`.

    `batch` rows of a batch are of it, `rows` of each period (1 without a pattern).
    """

    data: str
    source: str
    fields: frozenset[str]
    batch: int
    rows: int = 1
    pattern: Pattern | None = None


def readings_of(program: Program, inputs: Sequence[BatchInput]) -> tuple[Reading, ...]:
    """In the order of the inputs, the sources of a mixture in its own."""
    batch = program.training.batch
    found: list[Reading] = []
    for name, fields in fields_needed(program, inputs).items():
        if name not in program.mixtures:
            found.append(Reading(name, name, fields, batch))
            continue
        mixture = program.mixtures[name]
        for source, run in zip(mixture.sources, mixture.pattern.runs, strict=True):
            own = batch // mixture.pattern.period * run.rows
            found.append(Reading(name, source.name, fields & source.fields.keys(), own, run.rows, mixture.pattern))
    return tuple(found)


def fields_needed(program: Program, inputs: Sequence[BatchInput]) -> dict[str, frozenset[str]]:
    """The fields of each source that some input needs, by data name, in the order of the inputs."""
    needs: dict[str, set[str]] = {}
    for input_ in inputs:
        match input_:
            case FieldInput(data=data, field=field) | TextMaskInput(data=data, field=field):
                needs.setdefault(data, set()).add(field)
            case ViewInput(view=name) | GeometryInput(view=name) | MaskInput(view=name) | BlendInput(view=name):
                view = program.views[name]
                needs.setdefault(view.data.name, set()).add(view.field)
    return {name: frozenset(fields) for name, fields in needs.items()}


def labels_of(program: Program, inputs: Sequence[BatchInput], base: Path) -> dict[tuple[str, str], tuple[int, ...]]:
    """For each source of a mixture whose categories are read: the label in the mixture of each of its categories.

    By (data, source); none where a mixture has the categories of one source only. Raises SourceFault.
    """
    labels: dict[tuple[str, str], tuple[int, ...]] = {}
    for input_ in inputs:
        if not isinstance(input_, FieldInput) or not input_.modality.of_categories:
            continue
        mixture = program.mixtures.get(input_.data)
        if mixture is not None and len(mixture.having(input_.field)) > 1:
            names = {source.name: _categories(program, source.name, base) for source in mixture.sources}
            for source in mixture.having(input_.field):
                labels[mixture.name, source.name] = labels_in(mixture, source.name, names)
    return labels


def _categories(program: Program, source: str, base: Path) -> tuple[str, ...]:
    try:
        return program.data[source].source.word.describe(base).categories
    except WordError as fault:
        raise SourceFault(source, fault.message, argument=fault.argument, help=fault.help) from fault
