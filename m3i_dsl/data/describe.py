"""What is outside a recipe when it is compiled: its data, and the files that its encoders read.

Takes: a checked program, its graph and the recipe's folder. Gives: the `Lock`. Guarantees: every source that a step
reads is opened and every file is hashed, or each one that cannot be is named where the recipe asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from m3i_dsl.artifact.lock import DataLock, Lock, file_sha256
from m3i_dsl.data.proof import distinct, is_evaluated, proven, source_fault
from m3i_dsl.data.reading import fields_needed, readings_of
from m3i_dsl.data.sources import opening
from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.ir.graph import Graph
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import Encoder, WordError
from m3i_dsl.vocabulary.values import steps_of


def describe_data(program: Program, graph: Graph, base: Path, remarks: Diagnostics | None = None) -> Lock:
    """Opens every source that a step reads, and hashes the files that its encoders read or start from.

    With `remarks` its samples are proven as well (data/proof.py), and what stops nothing is added there.

    Raises RecipeError: M3I0501 a source cannot be opened, M3I0502 it is smaller than the batch, M3I0504 no such file,
    M3I0505 a queue holds all of its data, M3I0203 the warmup is longer than training.
    """
    diagnostics = Diagnostics() if remarks is None else remarks
    data, held_out = _sources(program, graph, base, diagnostics, proving=remarks is not None)
    files = _files(program, graph, base, diagnostics)
    if not diagnostics.has_errors:
        _lengths(program, graph, data, diagnostics)
    diagnostics.raise_errors()
    return Lock(data=data, held_out=held_out, files=files)


def _sources(
    program: Program, graph: Graph, base: Path, diagnostics: Diagnostics, *, proving: bool
) -> tuple[dict[str, DataLock], dict[str, DataLock]]:
    inputs = [input_.source for input_ in graph.inputs]
    needed: dict[str, frozenset[str]] = {}
    for reading in readings_of(program, inputs):
        needed[reading.source] = needed.get(reading.source, frozenset()) | reading.fields
    parts = _parts(program, graph)
    locks: dict[str, DataLock] = {}
    held_out: dict[str, DataLock] = {}
    for name in sorted(parts):
        source = program.data[name].source
        try:
            with opening(name):
                dataset = source.word.open(base)
                found = dataset.description()
                if source.word.has_held_out() and is_evaluated(program, program.data[name]):
                    held_out[name] = DataLock.of(dataset.evaluation().description())
        except WordError as fault:
            diagnostics.add(source_fault(program.data[name], fault))
            continue
        locks[name] = DataLock.of(found)
        if proving:
            diagnostics.extend(proven(program, program.data[name], dataset, needed[name]))
        batch = parts[name]
        if found.samples < batch:
            what = "batch" if batch == program.training.batch else "part of the batch"
            message = f"the {what} of {batch} is larger than data `{name}`, which has {found.samples} samples"
            span = program.training.settings["batch"]
            secondary = (Label(source.span, f"{found.samples} samples"),)
            diagnostics.add(error("M3I0502", message, span, secondary=secondary, helps=("use a smaller batch",)))
    if proving:
        categories = {name: lock.categories for name, lock in locks.items()}
        diagnostics.extend(distinct(program, fields_needed(program, inputs), categories))
    return locks, held_out


def _parts(program: Program, graph: Graph) -> dict[str, int]:
    """The rows of a batch of each source that a step reads."""
    return {reading.source: reading.batch for reading in readings_of(program, [i.source for i in graph.inputs])}


def _lengths(program: Program, graph: Graph, data: Mapping[str, DataLock], diagnostics: Diagnostics) -> None:
    """What needs the number of samples: the warmup against the length of training, a queue against its data."""
    training = program.training
    parts = _parts(program, graph)
    epoch = max(lock.samples // parts[name] for name, lock in data.items())
    total = steps_of(training.length, steps_per_epoch=epoch, batch=training.batch)
    warmup = steps_of(training.warmup, steps_per_epoch=epoch, batch=training.batch, total=total)
    if warmup > total:
        message = f"`warmup` is longer than training: {warmup:,} steps of {total:,}"
        notes = (f"an epoch has {epoch:,} steps",)
        diagnostics.add(error("M3I0203", message, training.settings["warmup"], notes=notes))
    for objective in program.objectives:
        samples = sum(data[source.name].samples for source in objective.inputs[0].view.data.sources)
        for term in (term for target in objective.targets for term in target.regularizations):
            queue = term.word.queue_length()
            if queue >= samples:
                message = f"a queue of {queue:,} holds every image of `{objective.inputs[0].view.data.name}`"
                primary, secondary = term.place("queue")
                notes = ("the image itself would be among its negatives",)
                helps = ("use a shorter queue, or leave it out",)
                found = error(
                    "M3I0505",
                    message,
                    primary.span,
                    f"{samples:,} images",
                    secondary=secondary,
                    notes=notes,
                    helps=helps,
                )
                diagnostics.add(found)


def _files(program: Program, graph: Graph, base: Path, diagnostics: Diagnostics) -> dict[str, str]:
    hashes: dict[str, str] = {}
    refused: set[str] = set()  # said once: a copy of an encoder names its file again
    for module in (module for module in graph.modules if module.section == "encoders"):
        encoder = program.encoders[module.name]
        own = {} if encoder.weights is None else {"weights": encoder.weights}
        word = cast(Encoder, module.word)
        for argument, path in {**word.files(), **own}.items():
            span = encoder.word.argument(argument)
            if path in refused:
                continue
            if (base / path).is_file():
                hashes[path] = file_sha256(base / path)
            elif (base / path).is_dir():
                try:
                    hashes[path] = word.folder_sha256(base / path)
                except WordError as fault:
                    helps = (fault.help,) if fault.help else ()
                    refused.add(path)
                    diagnostics.add(
                        error("M3I0504", f"nothing starts from `{path}`: {fault.message}", span, helps=helps)
                    )
            else:
                helps = ("paths start at the recipe's folder",)
                refused.add(path)
                diagnostics.add(error("M3I0504", f"there is no file `{path}`", span, helps=helps))
    return hashes
