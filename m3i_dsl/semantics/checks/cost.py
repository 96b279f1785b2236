"""Cost: the logits of a Boltzmann distribution fit a device."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.checks.shapes import input_width, predicted_width
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.kinds import ImageEncoder

LIMIT_GIB = 64.0
"""Logits beyond this are an error whatever the number of devices: they would be recomputed in blocks for minutes a
step.
"""


def check_cost(program: Program) -> Iterator[Diagnostic]:
    """M3I0310 for each target whose logits no device holds."""
    for objective in program.objectives:
        for target in objective.targets:
            rows, columns = logits(program, objective, target)
            gib = rows * columns * 4 / 2**30
            if gib > LIMIT_GIB:
                yield error(
                    "M3I0310",
                    f"the logits of target `{target.name}` take {gib:,.0f} GiB",
                    target.settings["regularization"],
                    f"{rows:,} x {columns:,} float32",
                    secondary=(Label(program.training.settings["batch"], "the global batch"),),
                    helps=("lower `negative samples(tokens: ...)`, the batch, or use a `queue`",),
                )


def logits(program: Program, objective: Objective, target: Target) -> tuple[int, int]:
    """Rows and columns of the logits over samples, texts or prototypes; (0, 0) when there are none."""
    form = target.representation.word.form
    if not target.distribution.word.contrasts or form == "categories":
        return 0, 0
    batch = program.training.batch
    negatives = target.negatives
    word = objective.encoder.word.word
    assert isinstance(word, ImageEncoder)
    if form == "prototypes":
        return batch, predicted_width(target.predictor.word, input_width(word, target.projected), 0)
    tokens = word.shape().grid.tokens if form == "dense" else 1
    if negatives.queue is not None:
        return batch * tokens, negatives.queue + 1
    return batch * tokens, batch * min(negatives.tokens, tokens) if form == "dense" else batch
