"""Collapse: every target carries a reason why its entropy cannot vanish.

The bound is H(p(z_y|t_y)) + E[log P^(z_y | zh)]. Dropping the first term is right only if z_y cannot become constant: it has
no parameters, its parameters do not move with the loss, or a constant z_y would be penalised. Anything else has the constant
solution as an optimum, and training finds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.predictors.identity import Identity


def check_collapse(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            if certificate(objective, target) is None:
                yield _collapse(objective, target)


def certificate(objective: Objective, target: Target) -> str | None:
    """Why z_y cannot collapse, in one clause; None if nothing prevents it."""
    encoder = target.encoder
    words = [placed.word for placed in target.regularizations]
    if encoder is None and not target.representation.word.trained:
        return "the target has no parameters"
    if encoder is not None and encoder.frozen:
        return "the target encoder is frozen"
    for word in words:
        if word.penalizes and word.certificate:
            return word.certificate
        if word.candidates is not None and target.distribution.word.contrasts:
            return word.certificate
    if any(word.detaches for word in words) and encoder is not None:
        if encoder.momentum is not None:
            return "the target encoder follows slowly and the loss cannot move it"
        if not isinstance(target.predictor.word, Identity):
            return "the loss cannot move the target, and a predictor stands between"
    return None


def _collapse(objective: Objective, target: Target) -> Diagnostic:
    span = target.settings["regularization"]
    names = " + ".join(placed.word.name for placed in target.regularizations)
    encoder = target.encoder
    detached = any(placed.word.detaches for placed in target.regularizations)
    if detached:
        headline = f"target `{target.name}` can collapse: `{names}` without any asymmetry"
        helps = (
            "use `ema of` the encoder for the target, or put a `predictor` other than `identity` between",
            "or add `negative samples` with `distribution boltzmann`",
        )
    else:
        headline = f"target `{target.name}` can collapse: its representation is learned and `{names}` does not prevent it"
        helps = (
            "add `regularization stop gradient` with an averaged target encoder (`ema of ENCODER`)",
            "or `negative samples` with `distribution boltzmann`, or `decorrelation`",
        )
    learned = "follows the trained encoder" if encoder is not None and encoder.momentum is not None else "is trained"
    return error(
        "M3I0301",
        headline,
        span,
        secondary=(Label(target.representation.span, f"z_y {learned}"),),
        notes=("the constant solution z_y = zh = c for every image reaches the lowest loss, and carries no information",),
        helps=helps,
    )
