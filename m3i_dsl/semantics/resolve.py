"""The canonical recipe: every default written out, files inlined, parameters replaced.

Takes: a `Program`. Gives: the text of a recipe that elaborates to the same program. Guarantees: nothing that changes
what is trained is left to a default, so the text means the same under later versions of the defaults.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.semantics.program import (
    EncoderDeclaration,
    InputReference,
    Objective,
    Placed,
    Program,
    Target,
    TargetReference,
)
from m3i_dsl.vocabulary.values import duration_text, number_text, ramp_text, string_text
from m3i_dsl.vocabulary.word import Word, argument_text


def canonical(program: Program) -> str:
    """The canonical text of `program`, before the formatter lays it out."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    yield "m3i 1"
    yield f"recipe {program.name}"
    yield ""
    for data in program.data.values():
        yield f"data {data.name} = {data.source.word.text()}"
    yield ""
    for view in program.views.values():
        transforms = " | ".join(placed.word.text() for placed in view.transforms)
        yield f"view {view.name} of {view.data.name}.{view.field} = {transforms}"
    yield ""
    for encoder in program.encoders.values():
        yield f"encoder {encoder.name} = {_encoder(encoder)}"
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
        return f"ema of {encoder.of}(momentum: {ramp_text(encoder.momentum)})"
    if encoder.frozen:
        weights = f"(weights: {string_text(encoder.weights)})" if encoder.weights is not None else ""
        return f"frozen of {encoder.of}{weights}"
    return encoder.word.word.text()


def _objective(objective: Objective) -> Iterator[str]:
    yield f"objective {objective.name} {{"
    yield f"input {_input(objective)}"
    yield f"represent {objective.represent.word.text()} of {objective.encoder.name}"
    for target in objective.targets:
        yield ""
        yield from _target(target)
    yield ""
    yield f"weighting {objective.weighting.word.text()}"
    yield f"symmetric {'true' if objective.symmetric else 'false'}"
    yield "}"


def _input(objective: Objective) -> str:
    if objective.mix is None:
        return _input_reference(objective.inputs[0])
    inputs = ", ".join(_input_reference(reference) for reference in objective.inputs)
    return f"mix({inputs}, {_arguments(objective.mix)})"


def _arguments(placed: Placed[Word]) -> str:
    word = placed.word
    return ", ".join(f"{p.name}: {argument_text(getattr(word, p.name), p.type)}" for p in word.parameters())


def _input_reference(reference: InputReference) -> str:
    text = f"{'masked ' if reference.masked else ''}{reference.view.name}"
    if reference.which is not None:
        text += f" of {reference.which}"
    if reference.mask is not None:
        text += f" by {reference.mask.word.text()}"
    return text


def _target(target: Target) -> Iterator[str]:
    yield f"target {target.name} {{"
    yield f"data {', '.join(_target_reference(reference) for reference in target.data)}"
    of = f" of {target.encoder.name}" if target.encoder is not None else ""
    yield f"representation {target.representation.word.text()}{of}"
    yield f"predictor {target.predictor.word.text()}"
    yield f"regularization {' + '.join(placed.word.text() for placed in target.regularizations)}"
    yield f"distribution {target.distribution.word.text()}"
    yield f"weight {number_text(target.weight)}"
    yield "}"


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
        yield f"clip {number_text(training.clip)}"
    yield "}"
