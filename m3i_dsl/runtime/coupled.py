"""Which words of a recipe couple the samples of a batch.

Takes: a program. Gives: a description and a place for each such word. Guarantees: none is left out: whatever is given
as several smaller batches is the same recipe only when this list is empty.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.runtime.microbatches import Coupled
from m3i_dsl.semantics.program import EncoderDeclaration, Objective, Placed, Program, Target
from m3i_dsl.vocabulary.word import Effect, Word


def batch_coupled(program: Program) -> list[Coupled]:
    """In the order of the recipe, each place once."""
    found: dict[object, Coupled] = {}
    for objective in program.objectives:
        for description, span in _of_objective(objective):
            found.setdefault((span.file.name, span.start, span.end), (description, span))
    return list(found.values())


def _of_objective(objective: Objective) -> Iterator[Coupled]:
    yield from _of_encoder(objective.encoder)
    yield from _of_word(objective.represent, "needs statistics of the batch")
    for target in objective.targets:
        yield from _of_target(target)
    yield from _of_word(objective.weighting, "weighs targets by statistics of the batch")


def _of_target(target: Target) -> Iterator[Coupled]:
    if target.encoder is not None:
        yield from _of_encoder(target.encoder)
    yield from _of_word(target.representation, "needs statistics of the batch")
    yield from _of_word(target.predictor, "normalises over the batch")
    named = [placed for placed in target.regularizations if placed.word.compares_batch()]
    for placed in named:
        yield f"`{placed.word.name}` compares each sample with the others of the batch", placed.span
    for placed in target.regularizations:
        yield from _of_word(placed, "needs statistics of the batch")
    # A Boltzmann without named candidates chooses among the batch's targets; over a fixed set it needs no other sample.
    alone = not target.representation.word.candidates.of_batch
    if target.distribution.word.contrasts and not named and not alone:
        word = target.distribution.word
        yield f"`{word.name}` chooses among the targets of the batch", target.distribution.span


def _of_encoder(encoder: EncoderDeclaration) -> Iterator[Coupled]:
    word = encoder.word.word.as_image()
    if encoder.frozen:  # in evaluation mode
        return
    if word is not None:
        if word.couples_batch():
            yield f"encoder `{encoder.name}` normalises over the batch", encoder.word.span
        elif word.projector is not None and _couples(word.projector):
            yield (
                f"the projector of encoder `{encoder.name}` takes statistics of the batch",
                encoder.word.argument("projector"),
            )
    elif _couples(encoder.word.word):
        yield f"encoder `{encoder.name}` normalises over the batch", encoder.word.span


def _of_word(placed: Placed[Word], why: str) -> Iterator[Coupled]:
    if _couples(placed.word):
        yield f"`{placed.word.name}` {why}", placed.span


def _couples(word: Word) -> bool:
    return Effect.BATCH_COUPLED in word.effects_of()
