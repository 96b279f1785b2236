"""What samples of a recipe's data turn out to be, before anything is trained on them.

Takes: an opened source, what is read of it, and where the recipe writes it. Gives: diagnostics at the argument that is
at fault. Guarantees: both splits are proven alike; the number of samples that are decoded is bounded, and each is read
just as training reads it; what stops every sample is an error, what stops some a warning; what one field lacks is not
counted against another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m3i_dsl.data.sources import opening
from m3i_dsl.diagnostics import Diagnostic, Severity, error
from m3i_dsl.semantics.categories import categories_of
from m3i_dsl.semantics.checks.evaluation import evaluated_data
from m3i_dsl.semantics.program import AnyData, Data, Program
from m3i_dsl.vocabulary.blame import named
from m3i_dsl.vocabulary.kept import described
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Modality, WordError

NAMED = 3
"""Broken samples that a message names."""

TOLD_APART = 4
"""Texts that must have been read before it is said that they are all equal."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A `field` of `count` samples: the values that were read, and the samples that do not give it."""

    field: str
    count: int
    values: tuple[Any, ...]
    broken: tuple[BrokenSample, ...]


def tried(dataset: Dataset, fields: Mapping[str, Modality]) -> tuple[Tried, ...]:
    """`fields` of the samples that stand for all of `dataset`. Raises WordError."""
    samples = dataset.proven().tolist()
    found: list[Tried] = []
    for field, modality in sorted(fields.items()):
        values: list[Any] = []
        broken: list[BrokenSample] = []
        for sample in samples:
            try:
                read = dataset.read(sample, frozenset({field}))
                if field not in read:
                    raise WordError(f"sample {sample} was read without `{field}`")
                value = read[field]
                values.append(modality.loaded(value) if modality.holds(value) else value)
            except BrokenSample as fault:
                broken.append(fault)
        found.append(Tried(field, len(samples), tuple(values), tuple(broken)))
    return tuple(found)


def proven(program: Program, data: Data, dataset: Dataset, read: frozenset[str]) -> Iterator[Diagnostic]:
    """What is wrong with the samples of `data`, of which training reads the fields `read`.

    M3I0510 no sample gives a field, M3I0511 some do not, M3I0513 the held-out samples are those of training, M3I0514
    the texts are all equal, M3I0515 files are left out, M3I0501 the held-out samples cannot be opened.
    """
    labels = frozenset(name for name, modality in data.fields.items() if modality.of_categories)
    shown = frozenset(name for name, modality in data.fields.items() if modality.views)
    evaluated = is_evaluated(program, data)
    try:
        with opening(data.name):
            yield from _split(data, dataset, read | labels if evaluated else read, "training")
            if not data.source.word.has_held_out() or not (evaluated or "test" in data.source.arguments):
                return
            held_out = dataset.evaluation()
            yield from _split(data, held_out, (read & shown) | labels, "held-out")
            if held_out.description().fingerprint == dataset.description().fingerprint:
                yield error(
                    "M3I0513",
                    f"the held-out samples of data `{data.name}` are those that it trains on",
                    data.source.argument("test"),
                    notes=("what is measured on them says nothing about samples that training has not seen",),
                    helps=("name other samples, or leave `test` out",),
                )
    except WordError as fault:
        yield source_fault(data, fault)


def distinct(
    program: Program, fields: Mapping[str, frozenset[str]], found: Mapping[str, Sequence[str]]
) -> Iterator[Diagnostic]:
    """M3I0512 for data with one category only, where categories are read: `fields` are those that a step reads of each
    data, `found` the categories of each source.
    """
    every: dict[str, AnyData] = {**program.data, **program.mixtures}
    read = [every[name] for name, names in fields.items() if any(every[name].fields[f].of_categories for f in names)]
    measured = [data for data in program.data.values() if is_evaluated(program, data)]
    for data in {data.name: data for data in (*read, *measured)}.values():
        known = categories_of(data, found)
        if len(known) == 1:
            source = data.sources[0].source
            yield error(
                "M3I0512",
                f"data `{data.name}` has one category only, `{known[0]}`",
                source.argument(source.word.read_by.get("category")),
                notes=("there is no other to tell it from: what is learned and measured of categories means nothing",),
                helps=("give it samples of other categories, or train and evaluate without categories",),
            )


def source_fault(data: Data, fault: WordError) -> Diagnostic:
    """M3I0501 at the argument of the source that is at fault."""
    return error(
        "M3I0501", fault.message, data.source.argument(fault.argument), helps=(fault.help,) if fault.help else ()
    )


def is_evaluated(program: Program, data: Data) -> bool:
    """Whether the recipe measures encoders on it."""
    return bool(program.evaluations) and any(
        evaluated_data(objective.inputs[0].view.data) is data for objective in program.objectives
    )


def _split(data: Data, dataset: Dataset, fields: frozenset[str], split: str) -> Iterator[Diagnostic]:
    for remark in dataset.remarks():
        place = data.source.argument("test" if split == "held-out" else data.source.word.read_by.get("image"))
        yield error("M3I0515", f"data `{data.name}` {remark}", place, severity=Severity.INFO)
    for found in tried(dataset, {name: data.fields[name] for name in fields & data.fields.keys()}):
        if found.broken:
            yield _unreadable(data, found, split)
        modality = data.fields[found.field]
        wrong = [value for value in found.values if not modality.holds(value)]
        if wrong:
            message = (
                f"{named(data.source.word)} reads {described(wrong[0])} as `{found.field}`, not {modality.singular}"
            )
            yield error("M3I0501", message, data.source.span, helps=("report it to the authors of the source",))
        texts = {str(value) for value in found.values} if modality.tokenized else set[str]()
        if len(found.values) >= TOLD_APART and len(texts) == 1:
            yield error(
                "M3I0514",
                f"the texts of all {len(found.values)} samples tried of data `{data.name}` are equal",
                data.source.argument(data.source.word.read_by.get(found.field)),
                notes=(f"each is `{texts.pop()[:80]}`: no image can be told from another by its text",),
                helps=("name the captions of the images",),
                severity=Severity.WARNING,
            )


def _unreadable(data: Data, found: Tried, split: str) -> Diagnostic:
    all_broken = not found.values
    which = "no sample" if all_broken else f"{len(found.broken)} of {found.count} samples tried"
    verb = "gives" if all_broken else "do not give" if len(found.broken) > 1 else "does not give"
    tries = f" ({found.count} of {split} were tried)" if all_broken else f" ({split})"
    argument = "test" if split == "held-out" else data.source.word.read_by.get(found.field)
    named = tuple(f"{fault.name}: {fault.reason}" for fault in found.broken[:NAMED])
    if all_broken:
        helps = (f"mend what the notes say of field `{found.field}`, or leave out what reads it",)
    else:
        helps = ("samples that cannot be read are skipped and counted: mend them, or leave them out of the source",)
    return error(
        "M3I0510" if all_broken else "M3I0511",
        f"{which} of data `{data.name}` {verb} field `{found.field}`{tries}",
        data.source.argument(argument),
        notes=named,
        helps=helps,
        severity=Severity.ERROR if all_broken else Severity.WARNING,
    )
