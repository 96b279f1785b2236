"""The phases in their order; the only file that knows it.

    read -> parse -> elaborate -> check -> build -> passes -> lower -> artifact

Takes: the text of a recipe, or an artifact's folder. Gives: what each command needs. Guarantees: `check`, `compile`
and the editor go through the same functions, so that they never disagree; nothing before `lower` imports torch, and
a phase is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.diagnostics import Diagnostic, Diagnostics, RecipeError, TooManyErrors, error
from m3i_dsl.semantics.categories import categories_of
from m3i_dsl.semantics.checks import ERRORS, LINTS
from m3i_dsl.semantics.checks.stages import check_starts, lint_stages
from m3i_dsl.semantics.elaborate import elaborate
from m3i_dsl.semantics.given import Given
from m3i_dsl.semantics.packages import calling_words, misstated_shape, packages_used
from m3i_dsl.semantics.pipeline import Pipeline
from m3i_dsl.semantics.program import Program
from m3i_dsl.semantics.uses import Uses
from m3i_dsl.source import DISK, Reader, SourceFile
from m3i_dsl.syntax.load import Loaded, load_recipe

if TYPE_CHECKING:
    from m3i_dsl.artifact.load import Artifact
    from m3i_dsl.artifact.lock import Lock
    from m3i_dsl.artifact.manifest import Manifest
    from m3i_dsl.artifact.pipeline import PipelineManifest
    from m3i_dsl.artifact.write import ArtifactContents
    from m3i_dsl.ir.graph import Graph
    from m3i_dsl.lower.executable import Executable
    from m3i_dsl.lower.handover import Edge


@dataclass(frozen=True, slots=True)
class Checked:
    """A recipe after all checks. `pipeline` is None when there are errors. `sources` are the files that were read.

    `uses` says of names and words where they stand, of as much as could be bound.
    """

    pipeline: Pipeline | None
    diagnostics: Diagnostics
    sources: tuple[SourceFile, ...]
    uses: Uses

    @property
    def program(self) -> Program | None:
        """The program of a recipe without stages, of others that of the last stage."""
        return None if self.pipeline is None else self.pipeline.stages[-1]

    def required(self) -> Program:
        """`program`; raises RecipeError when there are errors."""
        return self.stages().stages[-1]

    def stages(self) -> Pipeline:
        """The pipeline; raises RecipeError when there are errors."""
        if self.pipeline is None or self.diagnostics.has_errors:
            raise RecipeError(self.diagnostics)
        return self.pipeline


def check_file(file: SourceFile, settings: Mapping[str, Given] | None = None, reader: Reader = DISK) -> Checked:
    """Reads, parses, elaborates and checks a recipe; `settings` are those of `--set`, `reader` finds used files."""
    return check_loaded(load_recipe(file, reader), settings)


def check_loaded(loaded: Loaded, settings: Mapping[str, Given] | None = None) -> Checked:
    """`check_file` of a recipe that was read and parsed; its diagnostics become those of the checks too."""
    recipe, diagnostics, sources = loaded.recipe, loaded.diagnostics, loaded.sources
    pipeline: Pipeline | None = None
    uses = Uses()
    with suppress(TooManyErrors):
        pipeline = None if diagnostics.cut else elaborate(recipe, settings or {}, diagnostics, uses)
        if pipeline is not None:
            try:
                with calling_words(*pipeline.stages):
                    _check(pipeline, diagnostics)
            except RecipeError as fault:
                diagnostics.extend(fault.diagnostics)
    return Checked(None if diagnostics.has_errors else pipeline, diagnostics, sources, uses)


def _check(pipeline: Pipeline, diagnostics: Diagnostics) -> None:
    for check in ERRORS:
        for program in pipeline.stages:
            diagnostics.extend(check(program))
    diagnostics.extend(check_starts(pipeline))
    if not diagnostics.has_errors:
        for lint in LINTS:
            for program in pipeline.stages:
                diagnostics.extend(lint(program))
        diagnostics.extend(lint_stages(pipeline))


def resolve(program: Pipeline | Program) -> str:
    """The canonical text of a recipe, formatted."""
    from m3i_dsl.semantics.resolve import canonical
    from m3i_dsl.syntax.format import format_text

    return format_text(SourceFile(f"{program.name}.m3i", canonical(program)))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program with its graphs, before and after the passes, and what runs.

    `diagnostics` are the warnings and remarks about its data.
    """

    program: Program
    plain: Graph
    graph: Graph
    passes: tuple[str, ...]
    lock: Lock
    executable: Executable
    diagnostics: tuple[Diagnostic, ...]


def graphs(program: Program, passes: Sequence[str] | None = None) -> tuple[Graph, Graph]:
    """The graph of a program before and after `passes` (names; None: all). Raises UnknownPass. Never imports torch."""
    from m3i_dsl.ir.build import build
    from m3i_dsl.passes import PIPELINE, optimize, passes_named

    chosen = PIPELINE if passes is None else passes_named(passes)
    with calling_words(program):
        plain = build(program)
        return plain, optimize(plain, program.training.batch, chosen)


def compile_program(
    program: Program, base: Path, *, load_weights: bool = True, passes: Sequence[str] | None = None
) -> Compiled:
    """From a checked program to an executable; opens the data and proves it. `base` is the recipe's folder.

    Raises RecipeError, and UnknownPass when `passes` names none.
    """
    from m3i_dsl.data.describe import describe_data
    from m3i_dsl.passes import NAMES, passes_named

    applied = NAMES if passes is None else tuple(pass_.name for pass_ in passes_named(passes))
    plain, graph = graphs(program, applied)
    remarks = Diagnostics()
    with calling_words(program):
        lock = describe_data(program, graph, base, remarks)
    executable = lower_graph(program, graph, lock, base, load_weights=load_weights)
    return Compiled(program, plain, graph, applied, lock, executable, tuple(remarks))


def lower_graph(program: Program, graph: Graph, lock: Lock, base: Path, *, load_weights: bool = True) -> Executable:
    """What runs a graph of `program`.

    Raises RecipeError: M3I0402 a part cannot be built, M3I0404 a package's module yields another shape than its word
    says.
    """
    from m3i_dsl.lower.executable import lower
    from m3i_dsl.lower.meta_run import run_on_meta
    from m3i_dsl.lower.parts import PartFault
    from m3i_dsl.lower.shapes import ShapeDisagreement, ShapeRules
    from m3i_dsl.lower.unused import freeze_unused

    named = {name: found.categories for name, found in lock.data.items()}
    categories = {name: len(found) for name, found in named.items()}
    categories |= {mixture.name: len(categories_of(mixture, named)) for mixture in program.mixtures.values()}
    try:
        with calling_words(program):
            executable = lower(program, graph, categories=categories, base=base, load_weights=load_weights)
            meta_run = run_on_meta(executable, ShapeRules(graph, categories).check)
    except PartFault as fault:
        encoder = program.encoders.get(fault.part)
        placed = encoder.word if encoder is not None else None
        inner = fault.fault
        span = placed.argument(inner.argument) if placed is not None else program.span
        helps = (inner.help,) if inner.help else ()
        message = f"`{fault.part}` cannot be built: {inner.message}"
        raise RecipeError([error("M3I0402", message, span, helps=helps)]) from fault
    except ShapeDisagreement as fault:
        found = misstated_shape(fault.word, str(fault), program)
        if found is None:
            raise
        raise RecipeError([found]) from fault
    freeze_unused(executable, meta_run)
    return executable


@dataclass(frozen=True, slots=True)
class CompiledStages:
    """The stages of a recipe, compiled, and what each starts from."""

    pipeline: Pipeline
    stages: tuple[Compiled, ...]
    edges: tuple[Edge, ...]


def compile_stages(
    pipeline: Pipeline, base: Path, *, load_weights: bool = True, passes: Sequence[str] | None = None
) -> CompiledStages:
    """`compile_program` of each stage. Raises RecipeError, also for an encoder that does not fit its `start`."""
    from m3i_dsl.lower.handover import StartFault, edges_of

    stages = tuple(
        compile_program(program, base, load_weights=load_weights, passes=passes) for program in pipeline.stages
    )
    try:
        return CompiledStages(pipeline, stages, edges_of([stage.executable for stage in stages]))
    except StartFault as fault:
        placed = next(p.encoders[fault.encoder].word for p in pipeline.stages if fault.encoder in p.encoders)
        message = f"`{fault.encoder}` cannot start from it: `{fault.parameter}` {fault.why}"
        helps = ("give both encoders the same architecture, or leave `start` out",)
        raise RecipeError([error("M3I0330", message, placed.argument("start"), helps=helps)]) from fault


def write_stages(
    folder: Path, compiled: CompiledStages, checked: Checked, settings: Mapping[str, str], *, target: Path | None = None
) -> tuple[PipelineManifest, tuple[Manifest, ...]]:
    """Writes the artifact of stages and makes it the latest of `target` (default: the user's).

    The canonical recipe of a stage ends with it, so that its fingerprint covers all that its result depends on.
    """
    from m3i_dsl.artifact.pipeline import EdgeRecord, write_pipeline
    from m3i_dsl.artifact.pointer import TARGET

    names = compiled.pipeline.names
    contents = [
        (name, _contents(stage, resolve(compiled.pipeline.upto(name)), checked, settings))
        for name, stage in zip(names, compiled.stages, strict=True)
    ]
    edges = [
        EdgeRecord(encoder=e.encoder, source=e.source, into=e.into, to=e.to, parameters=dict(e.parameters))
        for e in compiled.edges
    ]
    return write_pipeline(folder, contents, edges, target=TARGET if target is None else target)


def write_artifact(
    folder: Path, compiled: Compiled, checked: Checked, settings: Mapping[str, str], *, target: Path | None = None
) -> Manifest:
    """Writes the artifact of a compiled program and makes it the latest of `target` (default: the user's)."""
    from m3i_dsl.artifact.pointer import TARGET
    from m3i_dsl.artifact.write import write

    contents = _contents(compiled, resolve(compiled.program), checked, settings)
    return write(folder, contents, target=TARGET if target is None else target)


def _contents(compiled: Compiled, recipe: str, checked: Checked, settings: Mapping[str, str]) -> ArtifactContents:
    from m3i_dsl.artifact.summary import listing, parameter_records, summary
    from m3i_dsl.artifact.write import ArtifactContents
    from m3i_dsl.ir.text import write as ir_text

    return ArtifactContents(
        name=compiled.program.name,
        recipe=recipe,
        ir=ir_text(compiled.graph),
        graph=listing(compiled.executable),
        lock=compiled.lock,
        parameters=parameter_records(compiled.executable),
        summary=summary(compiled.executable, compiled.plain),
        sources=checked.sources,
        settings=settings,
        passes=compiled.passes,
        diagnostics=(*checked.diagnostics, *compiled.diagnostics),
        packages=packages_used(compiled.program),
    )


def load_artifact(
    folder: Path, *, allow_stale: bool = False, allow_other_data: bool | None = None, load_weights: bool = True
) -> tuple[Artifact, Executable]:
    """Reads an artifact and rebuilds what it stands for from its canonical recipe and its IR.

    The IR in the folder keeps the recipe lines as their author wrote them, so it is what runs, after a comparison with
    the one that the canonical recipe gives now. Raises RecipeError when the artifact is damaged, or stale and not
    `allow_stale`: the recipe, the versions or the data changed, or the recipe compiled now gives another program.
    `allow_other_data` is about the data alone, and as `allow_stale` if it is not given.
    """
    from m3i_dsl.artifact.load import load
    from m3i_dsl.artifact.manifest import IR, RECIPE
    from m3i_dsl.artifact.summary import parameter_records
    from m3i_dsl.data.describe import describe_data
    from m3i_dsl.ir.text import read
    from m3i_dsl.ir.text import write as ir_text
    from m3i_dsl.passes import NAMES

    artifact = load(folder, allow_stale=allow_stale)
    program = check_file(SourceFile(str(folder / RECIPE), artifact.recipe)).required()
    _, rebuilt = graphs(program, [name for name in artifact.manifest.passes if name in NAMES])
    with calling_words(program):
        lock = describe_data(program, rebuilt, artifact.base)
    artifact = artifact.verify_data(lock, allow_stale=allow_stale if allow_other_data is None else allow_other_data)
    graph = read(artifact.ir, str(folder / IR))
    executable = lower_graph(program, graph, lock, artifact.base, load_weights=load_weights)
    records = parameter_records(executable)
    artifact = artifact.verify_rebuilt(ir_text(rebuilt), records, allow_stale=allow_stale)
    return artifact, executable
