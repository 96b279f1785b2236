"""What is outside a recipe when it is compiled: its data, and the files that its encoders read.

Takes: a checked program, its graph and the recipe's folder. Gives: the `Lock`. Guarantees: every source that a step
reads is opened and every file is hashed, or each one that cannot be is named where the recipe asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from m3i_dsl.artifact.lock import DataLock, Lock, file_sha256
from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.semantics.program import Placed, Program, parts_of
from m3i_dsl.vocabulary.kinds import Encoder, Source, SourceDescription, WordError


def describe_data(program: Program, graph: Graph, base: Path) -> Lock:
    """Opens every source that a step reads, and hashes the files that its encoders read or start from.

    Raises RecipeError: M3I0501 a source cannot be opened, M3I0502 it is smaller than the batch, M3I0504 no such file.
    """
    diagnostics = Diagnostics()
    data = _sources(program, graph, base, diagnostics)
    files = _files(program, graph, base, diagnostics)
    diagnostics.raise_errors()
    return Lock(data=data, files=files)


def _sources(program: Program, graph: Graph, base: Path, diagnostics: Diagnostics) -> dict[str, DataLock]:
    read = [program.views[i.source.view].data for i in graph.inputs if isinstance(i.source, ViewInput)]
    parts = {source.name: rows for data in read for source, rows in parts_of(data, program.training.batch)}
    locks: dict[str, DataLock] = {}
    for name in sorted(parts):
        source = program.data[name].source
        found = _opened(source, base, diagnostics)
        if found is None:
            continue
        locks[name] = DataLock.of(found)
        batch = parts[name]
        if found.samples < batch:
            what = "batch" if batch == program.training.batch else "part of the batch"
            message = f"the {what} of {batch} is larger than data `{name}`, which has {found.samples} samples"
            span = program.training.settings["batch"]
            secondary = (Label(source.span, f"{found.samples} samples"),)
            diagnostics.add(error("M3I0502", message, span, secondary=secondary, helps=("use a smaller batch",)))
    return locks


def _opened(source: Placed[Source], base: Path, diagnostics: Diagnostics) -> SourceDescription | None:
    try:
        return source.word.describe(base)
    except WordError as fault:
        span = source.argument(fault.argument)
        diagnostics.add(error("M3I0501", fault.message, span, helps=(fault.help,) if fault.help else ()))
        return None


def _files(program: Program, graph: Graph, base: Path, diagnostics: Diagnostics) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for module in (module for module in graph.modules if module.section == "encoders"):
        encoder = program.encoders[module.name]
        own = {} if encoder.weights is None else {"weights": encoder.weights}
        for argument, path in {**cast(Encoder, module.word).files(), **own}.items():
            if (base / path).is_file():
                hashes[path] = file_sha256(base / path)
            else:
                span = encoder.word.argument(argument)
                helps = ("paths start at the recipe's folder",)
                diagnostics.add(error("M3I0504", f"there is no file `{path}`", span, helps=helps))
    return hashes
