"""Stages: what each starts from, and what becomes of its result. The one check that reads a whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, Severity, error
from m3i_dsl.semantics.pipeline import Pipeline, read_in, trained_in
from m3i_dsl.semantics.program import EncoderDeclaration, Program


def check_starts(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """M3I0330: an encoder starts from another one that no earlier stage has trained."""
    trained: set[str] = set()
    for program in pipeline.stages:
        for encoder in _own(program):
            start = encoder.start
            if start is None or encoder.name in trained or start in trained:
                continue
            where = (
                f"before stage `{program.stage}`" if program.stage is not None else "before: the recipe has no stages"
            )
            yield error(
                "M3I0330",
                f"`{encoder.name}` starts from `{start}`, which nothing trains {where}",
                encoder.word.argument("start"),
                secondary=(Label(program.encoders[start].word.span, "what it would start from"),),
                helps=(f"train `{start}` in an earlier stage, or leave `start` out",),
            )
        trained |= {encoder.name for encoder in trained_in(program)}


def lint_stages(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """What is legal in a pipeline, but rarely meant."""
    yield from _untaught(pipeline)
    yield from _unread_results(pipeline)


def _untaught(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """M3I0808: a frozen copy of random weights."""
    trained: set[str] = set()
    for program in pipeline.stages:
        for encoder in program.encoders.values():
            source = program.encoders[encoder.of] if encoder.of is not None else None
            if not encoder.frozen or encoder.weights is not None or source is None or source.name in trained:
                continue
            if not source.word.word.starts_from_weights() and source.start is None:
                yield error(
                    "M3I0808",
                    f"`{encoder.name}` is frozen with random weights: `{source.name}` has no others yet",
                    encoder.word.span,
                    secondary=(Label(source.word.span, "starts from random weights"),),
                    helps=(
                        f'write `frozen of {source.name}("FILE.safetensors")`',
                        f"or give `{source.name}` weights, or train it in an earlier stage",
                    ),
                    severity=Severity.WARNING,
                )
        trained |= {encoder.name for encoder in trained_in(program)}


def _unread_results(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """M3I0331: a stage that the rest would be the same without. The last one's result is that of the recipe."""
    for place, program in enumerate(pipeline.stages[:-1]):
        later = {encoder.name for after in pipeline.stages[place + 1 :] for encoder in read_in(after)}
        results = [encoder.name for encoder in trained_in(program)]
        if program.evaluations or later & set(results):
            continue
        names = " and ".join(f"`{name}`" for name in results)
        yield error(
            "M3I0331",
            f"nothing reads what stage `{program.stage}` trains, {names}, and nothing evaluates it",
            program.span,
            helps=("use it in a later stage, evaluate it, or remove the stage",),
            severity=Severity.WARNING,
        )


def _own(program: Program) -> Iterator[EncoderDeclaration]:
    """The encoders of a stage, and those that its copies are of; none of them is a copy."""
    for encoder in program.encoders.values():
        if any(encoder.name == read.name for read in read_in(program)):
            yield encoder
