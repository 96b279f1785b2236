"""Batch: as many samples as what compares them needs."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Placed, Program, Target
from m3i_dsl.vocabulary.word import Effect, Word


def check_batch(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        paired = objective.pairs_images
        if paired is not None and program.training.batch % 2:
            yield error(
                "M3I0305",
                f"a {paired.word.name} pairs the images of a batch, but a batch of {program.training.batch} is odd",
                program.training.settings["batch"],
                secondary=(Label(paired.span, "mixes image 2k with image 2k + 1"),),
                helps=("use an even batch",),
            )
        if program.training.batch < 2:
            for target in objective.targets:
                yield from _batch_of_one(program, objective, target)


def _batch_of_one(program: Program, objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """The first part of a target that compares the samples of a batch."""
    for placed in _comparing(objective, target):
        yield error(
            "M3I0305",
            f"`{placed.word.name}` compares the samples of a batch, but there is only one",
            program.training.settings["batch"],
            secondary=(Label(placed.span, "needs at least 2"),),
            helps=("use a larger batch",),
        )
        return


def _comparing(objective: Objective, target: Target) -> Iterator[Placed[Word]]:
    for regularization in target.regularizations:
        word = regularization.word
        queued = word.queue_length() > 0
        if (word.compares_batch() and not queued) or _couples(word):
            yield regularization
        if queued:
            return  # the candidates are those of the queue, whatever the batch
    if target.distribution.word.contrasts and target.representation.word.candidates.of_batch:
        yield target.distribution
    if _couples(target.predictor.word):
        yield target.predictor
    for encoder in (objective.encoder, target.encoder):
        word = encoder.word.word.as_image() if encoder is not None else None
        if encoder is not None and word is not None:
            if word.couples_batch() or (word.projector is not None and _couples(word.projector)):
                yield encoder.word


def _couples(word: Word) -> bool:
    return Effect.BATCH_COUPLED in word.effects_of()
