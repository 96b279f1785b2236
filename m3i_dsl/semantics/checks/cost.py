"""Cost: the logits of a Boltzmann distribution fit a device."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.geometry import projects
from m3i_dsl.semantics.program import Objective, Program, Target

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
                assigned = target.representation.word.assigned
                help_ = "lower `negative samples(tokens: ...)`, the batch, or use a `queue`"
                if assigned:
                    help_ = "lower the number of prototypes or the batch, or write `tokens: hidden`"
                yield error(
                    "M3I0310",
                    f"the logits of target `{target.name}` take {gib:,.0f} GiB",
                    target.settings["representation" if assigned else "regularization"],
                    f"{rows:,} x {columns:,} float32",
                    secondary=(Label(program.training.settings["batch"], "the global batch"),),
                    helps=(help_,),
                )


def logits(program: Program, objective: Objective, target: Target) -> tuple[int, int]:
    """Rows and columns of the logits over samples, texts or prototypes; (0, 0) when there are none."""
    representation = target.representation.word
    if not target.distribution.word.contrasts or not (representation.candidates.of_batch or representation.assigned):
        return 0, 0
    batch = program.training.batch
    tokens = _compared_tokens(objective, target) if representation.has_grid else 1
    if representation.assigned:
        return batch * tokens, target.predictor.word.output_width(objective.width(projects(objective, target)), 0)
    if target.queue:
        return batch * tokens, target.queue + 1
    views = 2 if target.chooses_among_predictions else 1
    return batch * tokens, batch * views * min(target.candidate_tokens, tokens)


def _compared_tokens(objective: Objective, target: Target) -> int:
    """The tokens of an image whose predictions are compared: those that its mask hides, or all."""
    shape = objective.shape
    hidden = (shown.mask.word.hidden(shape.grid, shape.stride) for shown in objective.inputs if shown.mask is not None)
    return max(hidden, default=shape.grid.tokens) if target.distribution.word.hidden_only() else shape.grid.tokens
