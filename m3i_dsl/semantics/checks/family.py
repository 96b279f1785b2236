"""Family: the likelihood fits the regularization, the representation and the batch."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.distributions.bernoulli import Bernoulli
from m3i_dsl.vocabulary.distributions.boltzmann import Boltzmann
from m3i_dsl.vocabulary.kinds import ImageEncoder
from m3i_dsl.vocabulary.regularizations.negative_samples import NegativeSamples
from m3i_dsl.vocabulary.word import Effect

_CANDIDATES = {"categories": "categories", "texts": "texts", "dense": "samples", "global": "samples"}
_REGULARIZATION = {"categories": "negative categories", "texts": "negative texts", "samples": "negative samples"}


def check_family(program: Program) -> Iterator[Diagnostic]:
    batch = program.training.batch
    for objective in program.objectives:
        yield from _even_batch(program, objective)
        for target in objective.targets:
            yield from _candidates(target)
            yield from _forms(target)
            yield from _terms(target)
            yield from _queue(program, target)
            if batch < 2:
                yield from _batch_of_one(program, objective, target)


def _candidates(target: Target) -> Iterator[Diagnostic]:
    distribution = target.distribution
    form = target.representation.word.form
    fitting = _CANDIDATES[form]
    named = [placed for placed in target.regularizations if placed.word.candidates is not None]
    regularization = target.settings["regularization"]
    if not distribution.word.contrasts:
        for placed in named:
            yield error(
                "M3I0303",
                f"`{placed.word.name}` needs a distribution that is normalised over candidates, not "
                f"`{distribution.word.name}`",
                distribution.span,
                "never looks at negatives",
                secondary=(Label(placed.span, "negatives"),),
                helps=("write `distribution boltzmann(temperature: ...)`",),
            )
        return
    for placed in named:
        if placed.word.candidates != fitting:
            yield error(
                "M3I0311",
                f"`{placed.word.name}` are no candidates for `{target.representation.word.name}`",
                placed.span,
                secondary=(Label(target.representation.span, "the target representation"),),
                helps=(f"write `regularization {_REGULARIZATION[fitting]}`",),
            )
    if not named and not any(placed.word.detaches for placed in target.regularizations):
        yield error(
            "M3I0302",
            f"`{distribution.word.name}` has no candidate set",
            distribution.span,
            "nothing to normalise over",
            secondary=(Label(regularization, "names no negatives"),),
            helps=(f"write `regularization {_REGULARIZATION[fitting]}`",),
        )


def _forms(target: Target) -> Iterator[Diagnostic]:
    word, form = target.distribution.word, target.representation.word.form
    table = form in ("categories", "texts")
    if table and not word.contrasts:
        yield error(
            "M3I0304",
            f"`{target.representation.word.name}` is chosen among candidates, which `{word.name}` does not do",
            target.distribution.span,
            helps=("write `distribution boltzmann`",),
        )
    if isinstance(word, Bernoulli) and form != "categories":
        message = "`bernoulli` is a yes or no for each category, but the target has no categories"
        yield error("M3I0304", message, target.distribution.span, helps=("write `distribution boltzmann`",))
    if isinstance(word, Boltzmann) and word.label_smoothing and form != "categories":
        message = "`label_smoothing` spreads the label of a category, but the target has no categories"
        yield error("M3I0304", message, target.distribution.argument("label_smoothing"), helps=("leave it out",))
    if isinstance(word, Boltzmann) and word.symmetric and form == "categories":
        message = "`symmetric` asks each candidate for its sample, but a category has many"
        yield error("M3I0304", message, target.distribution.argument("symmetric"), helps=("leave it out",))


def _terms(target: Target) -> Iterator[Diagnostic]:
    """Regularizations that do not add up."""
    words = {placed.word.name: placed for placed in target.regularizations}
    if "none" in words and len(target.regularizations) > 1:
        yield error("M3I0319", "`none` is added to another regularization", words["none"].span, helps=("leave it out",))
    for index, placed in enumerate(target.regularizations):
        if any(placed.word.name == other.word.name for other in target.regularizations[:index]):
            yield error("M3I0125", f"`{placed.word.name}` is added twice", placed.span)
    if "unigrad" in words and not any(placed.word.detaches for placed in target.regularizations):
        message = "`unigrad` treats the targets as constants"
        yield error("M3I0319", message, words["unigrad"].span, helps=("write `stop gradient + unigrad(...)`",))
    if target.distribution.word.contrasts and any(placed.word.standardizes for placed in target.regularizations):
        placed = next(p for p in target.regularizations if p.word.standardizes)
        message = f"`{placed.word.name}` goes with `gaussian`, not with `{target.distribution.word.name}`"
        yield error("M3I0303", message, target.distribution.span, secondary=(Label(placed.span),))


def _queue(program: Program, target: Target) -> Iterator[Diagnostic]:
    for placed in target.regularizations:
        if not isinstance(placed.word, NegativeSamples) or placed.word.queue is None:
            continue
        if placed.word.queue % program.training.batch:
            yield error(
                "M3I0203",
                f"a queue of {placed.word.queue} is not a whole number of batches of {program.training.batch}",
                placed.argument("queue"),
                secondary=(Label(program.training.settings["batch"], "the batch"),),
                helps=("choose a multiple of the batch",),
            )
        word = target.distribution.word
        if isinstance(word, Boltzmann) and word.symmetric:
            message = "a queue holds targets only, so nothing can be asked in the other direction"
            yield error("M3I0303", message, target.distribution.argument("symmetric"), helps=("leave it out",))


def _even_batch(program: Program, objective: Objective) -> Iterator[Diagnostic]:
    if objective.mix is not None and program.training.batch % 2:
        yield error(
            "M3I0305",
            f"a mix pairs the images of a batch, but {program.training.batch} is odd",
            program.training.settings["batch"],
            secondary=(Label(objective.mix.span, "pairs row 2k with row 2k + 1"),),
            helps=("use an even batch",),
        )


def _batch_of_one(program: Program, objective: Objective, target: Target) -> Iterator[Diagnostic]:
    coupled = [p for p in (*target.regularizations, target.predictor) if _couples(p.word)]
    named = [p for p in target.regularizations if p.word.candidates in ("samples", "texts")]
    if target.distribution.word.contrasts and target.representation.word.form != "categories":
        coupled.append(target.distribution)
    encoder = objective.encoder.word.word
    assert isinstance(encoder, ImageEncoder)
    if encoder.couples_batch() or (encoder.projector is not None and _couples(encoder.projector)):
        coupled.append(objective.encoder.word)
    for placed in (*named, *coupled)[:1]:
        yield error(
            "M3I0305",
            f"`{placed.word.name}` compares the samples of a batch, but the batch is {program.training.batch}",
            program.training.settings["batch"],
            secondary=(Label(placed.span, "needs at least 2"),),
            helps=("use a larger batch",),
        )


def _couples(word: object) -> bool:
    effects = getattr(word, "effects_of", None)
    found = effects() if effects is not None else getattr(word, "effects", frozenset())
    return Effect.BATCH_COUPLED in found
