"""The canonical recipe: every default written out, files inlined, parameters replaced.

Takes: a `Pipeline` or a `Program`. Gives: the text of a recipe that elaborates to the same. Guarantees: nothing
that changes what is trained is left to a default, so the text means the same under later versions of the defaults.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from m3i_dsl.semantics.pipeline import Pipeline
from m3i_dsl.semantics.program import (
    Data,
    EncoderDeclaration,
    InputReference,
    Mixture,
    Objective,
    Program,
    Target,
    TargetReference,
    TextField,
    View,
)
from m3i_dsl.vocabulary.values import clip_text, duration_text, number_text, ramp_text, string_text
from m3i_dsl.vocabulary.word import Word, argument_text


def canonical(recipe: Pipeline | Program) -> str:
    """The canonical text of a recipe, before the formatter lays it out."""
    lines = _lines(recipe) if isinstance(recipe, Program) else _recipe(recipe)
    return "\n".join(lines) + "\n"


def _recipe(pipeline: Pipeline) -> Iterator[str]:
    if not pipeline.staged:
        yield from _lines(pipeline.stages[0])
        return
    yield from _declarations(
        pipeline.name,
        data=pipeline.all("data", lambda program: program.data),
        mixtures=pipeline.all("data", lambda program: program.mixtures),
        views=pipeline.all("view", lambda program: program.views),
        encoders=pipeline.all("encoder", lambda program: program.encoders),
    )
    for program in pipeline.stages:
        yield ""
        yield f"stage {program.stage} {{"
        yield from itertools.islice(_training(program), 1, None)
        yield "}"


def _lines(program: Program) -> Iterator[str]:
    yield from _declarations(
        program.name,
        data=program.data.values(),
        mixtures=program.mixtures.values(),
        views=program.views.values(),
        encoders=program.encoders.values(),
    )
    yield from _training(program)


def _declarations(
    name: str,
    *,
    data: Iterable[Data],
    mixtures: Iterable[Mixture],
    views: Iterable[View],
    encoders: Iterable[EncoderDeclaration],
) -> Iterator[str]:
    yield "m3i 1"
    yield f"recipe {name}"
    yield ""
    for source in data:
        yield f"data {source.name} = {source.source.word.text()}"
    for mixture in mixtures:
        yield f"data {mixture.name} = {mixture.text()}"
    yield ""
    for view in views:
        if view.place is not None and view.place.index > 0:
            continue
        transforms = " | ".join(placed.word.text() for placed in view.transforms)
        head = f"view {view.name}" if view.place is None else f"views {view.place.name}[{view.place.count}]"
        yield f"{head} of {view.data.name}.{view.field} = {transforms}"
    yield ""
    for encoder in encoders:
        yield f"encoder {encoder.name} = {_encoder(encoder)}"


def _training(program: Program) -> Iterator[str]:
    """Objectives, `train` and `evaluate`, each after an empty line."""
    for objective in program.objectives:
        yield ""
        yield from _objective(objective)
    yield ""
    yield from _train(program)
    if program.evaluations:
        yield ""
        yield "evaluate {"
        for evaluation in program.evaluations:
            when = "at end" if evaluation.every is None else f"every {duration_text(evaluation.every)}"
            yield f"{evaluation.evaluator.word.text()} {when}"
        yield "}"


def _encoder(encoder: EncoderDeclaration) -> str:
    if encoder.momentum is not None:
        over = "" if encoder.over is None else f", over: {duration_text(encoder.over)}"
        return f"ema of {encoder.of}(momentum: {ramp_text(encoder.momentum)}{over})"
    if encoder.frozen:
        weights = f"(weights: {string_text(encoder.weights)})" if encoder.weights is not None else ""
        return f"frozen of {encoder.of}{weights}"
    text = encoder.word.word.text()
    if encoder.start is None:
        return text
    return (
        f"{text.removesuffix(')')}, start: {encoder.start})"
        if text.endswith(")")
        else f"{text}(start: {encoder.start})"
    )


def _objective(objective: Objective) -> Iterator[str]:
    yield f"objective {objective.name} {{"
    yield f"input {_input(objective)}"
    yield f"represent {objective.represent.word.text()} of {objective.encoder.name}"
    for target in objective.targets:
        yield ""
        yield from _target(target, objective.several)
    yield ""
    yield f"weighting {objective.weighting.word.text()}"
    yield f"symmetric {'true' if objective.symmetric else 'false'}"
    yield "}"


def _input(objective: Objective) -> str:
    if objective.several:
        runs = itertools.groupby(objective.inputs, key=_masking)
        return ", ".join(f"{before}{name}{by}" for (before, by), run in runs for name in names_of(r.view for r in run))
    if objective.mix is None:
        return _input_reference(objective.inputs[0])
    word = objective.mix.word
    inputs = [_input_reference(reference) for reference in objective.inputs]
    return f"{word.name}({', '.join([*inputs, *_arguments(word)])})"


def _arguments(word: Word) -> list[str]:
    return [f"{p.name}: {argument_text(getattr(word, p.name), p.type)}" for p in word.parameters()]


def _input_reference(reference: InputReference) -> str:
    before, by = _masking(reference)
    of = "" if reference.which is None else f" of {reference.which}"
    if isinstance(reference.view, TextField):
        of = f" of {reference.view.data.name}"
    return f"{before}{reference.view.name}{of}{by}"


def _masking(reference: InputReference) -> tuple[str, str]:
    """What stands before and after the name of an input that is masked, or mixed with its partner."""
    if reference.blend is not None:
        return "mixed ", f" by {reference.blend.word.text()}"
    by = "" if reference.mask is None else f" by {reference.mask.word.text()}"
    return ("masked " if reference.masked else ""), by


def _target(target: Target, several: bool) -> Iterator[str]:
    yield f"target {target.name} {{"
    yield f"data {', '.join(data_of(target, _target_reference))}"
    if several:
        yield f"pairs {target.pairs}"
    of = f" of {target.encoder.name}" if target.encoder is not None else ""
    yield f"representation {target.representation.word.text()}{of}"
    yield f"predictor {target.predictor.word.text()}"
    yield f"regularization {' + '.join(placed.word.text() for placed in target.regularizations)}"
    yield f"distribution {target.distribution.word.text()}"
    yield f"weight {number_text(target.weight)}"
    yield "}"


def data_of(target: Target, text: Callable[[TargetReference], str]) -> Iterator[str]:
    """The references of a target's data: each by `text`, a whole list of views by its name."""
    for which, references in itertools.groupby(target.data, key=lambda reference: reference.which):
        for of_view, run in itertools.groupby(references, key=lambda reference: reference.view is not None):
            if of_view:
                names = names_of(reference.view for reference in run if reference.view is not None)
                yield from (name if which is None else f"{name} of {which}" for name in names)
            else:
                yield from map(text, run)


def names_of(views: Iterable[View | TextField]) -> Iterator[str]:
    """The names of views, one for all where they are a whole list in its order."""
    waiting = list(views)
    while waiting:
        first = waiting[0]
        place = first.place
        run = waiting[: place.count] if place is not None else []
        if place is not None and [view.place for view in run] == [replace(place, index=i) for i in range(place.count)]:
            yield place.name
            waiting = waiting[place.count :]
        else:
            yield first.name
            waiting = waiting[1:]


def _target_reference(reference: TargetReference) -> str:
    name = reference.view.name if reference.view is not None else reference.field
    return name if reference.which is None else f"{name} of {reference.which}"


def _train(program: Program) -> Iterator[str]:
    training = program.training
    length = number_text(training.length.value)
    yield "train {"
    yield f"batch {training.batch}"
    yield f"{training.length.unit} {length}, warmup {duration_text(training.warmup)}"
    yield f"optimizer {training.optimizer.word.text()}"
    yield f"schedule {training.schedule.word.text()}"
    yield f"precision {training.precision}"
    yield f"seed {training.seed}"
    if training.clip is not None:
        yield f"clip {clip_text(training.clip)}"
    yield "}"
