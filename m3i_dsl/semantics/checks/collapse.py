"""Collapse: every target carries a reason why its entropy cannot vanish.

The bound is H(p(z_y|t_y)) + E[log P^(z_y | zh)]. Dropping the first term is right only if z_y cannot become constant:
it has no parameters, its parameters do not move with the loss, or a constant z_y would be penalised. Anything else
has the constant solution as an optimum, and training finds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.checks.prototypes import balance, constant_shares
from m3i_dsl.semantics.program import Objective, Program, Target


def check_collapse(program: Program) -> Iterator[Diagnostic]:
    """M3I0301 for each target without a certificate."""
    for objective in program.objectives:
        for target in objective.targets:
            if certificate(objective, target) is None and not _is_of_the_family(target):
                yield _collapse(objective, target)


def certificate(objective: Objective, target: Target) -> str | None:
    """Why z_y cannot collapse, in one clause; None if nothing prevents it."""
    encoder = target.encoder
    words = [placed.word for placed in target.regularizations]
    if encoder is None and not target.representation.word.trained:
        return "the target has no parameters"
    if encoder is None and target.detached:
        return "the loss cannot move the target"
    if encoder is not None and encoder.frozen:
        return "the target encoder is frozen"
    if target.representation.word.assigned:
        return balance(target)
    for word in words:
        if word.penalizes and word.certificate:
            return word.certificate
        if word.candidates is not None and target.distribution.word.contrasts:
            return word.certificate
    if target.detached and encoder is not None:
        if encoder.momentum is not None and (encoder.momentum.start, encoder.momentum.stop) != (0, 0):
            return "the target encoder follows slowly and the loss cannot move it"
        if target.predictor.word.changes:
            return "the loss cannot move the target, and a predictor stands between"
    return None


def _is_of_the_family(target: Target) -> bool:
    """Whether checks/family.py reports the cause: candidates and a distribution that do not go together."""
    words = [placed.word for placed in target.regularizations]
    contrasts = target.distribution.word.contrasts
    if target.representation.word.assigned:
        return not contrasts
    if target.detached:
        return False
    no_candidates = contrasts and all(word.candidates is None for word in words)
    table = target.representation.word.chosen and not contrasts
    return no_candidates or table or any(word.needs_detached for word in words)


def _collapse(objective: Objective, target: Target) -> Diagnostic:
    if target.representation.word.assigned:
        return _constant_shares(target)
    names = " + ".join(placed.word.name for placed in target.regularizations)
    encoder, representation = target.encoder, target.representation.word
    secondary: list[Label] = []
    if target.detached:
        headline = f"target `{target.name}` can collapse: with `{names}`, nothing tells its two sides apart"
        if encoder is not None:
            secondary.append(Label(target.representation.span, f"z_y is of `{encoder.name}`, as z_x is"))
            if encoder.momentum is not None:
                secondary[0] = Label(encoder.word.span, f"a momentum of 0 makes this `{encoder.of}` itself")
        secondary.append(Label(target.predictor.span, "no predictor between them"))
        helps = (
            "take the target from `ema of` the encoder, or use a `predictor` other than `identity`",
            "or add `negative samples` with `distribution boltzmann`",
        )
    elif any(placed.word.candidates is not None for placed in target.regularizations):
        headline = f"target `{target.name}` can collapse: `{target.distribution.word.name}` does not look at `{names}`"
        secondary.append(Label(target.distribution.span, "compares the prediction with its own target only"))
        helps = ("write `distribution boltzmann(temperature: ...)`",)
    elif encoder is not None and encoder.momentum is not None:
        headline = (
            f"target `{target.name}` can collapse: its encoder follows the trained one, and `{names}` does not stop it"
        )
        secondary.append(Label(target.representation.span, f"z_y follows `{encoder.of}`"))
        helps = ("write `regularization stop gradient`",)
    else:
        headline = f"target `{target.name}` can collapse: its representation is trained, and `{names}` does not stop it"
        secondary.append(Label(target.representation.span, "z_y is trained by the same loss"))
        helps = (f"write `regularization {representation.candidates.regularization}` and `distribution boltzmann`",)
        if not representation.chosen:
            helps += ("or `stop gradient` with an averaged encoder for the target (`ema of`), or `decorrelation`",)
    return error(
        "M3I0301",
        headline,
        target.settings["regularization"],
        secondary=secondary,
        notes=("z_y = zh = c for every image reaches the lowest loss, and tells nothing about the image",),
        helps=helps,
    )


def _constant_shares(target: Target) -> Diagnostic:
    found = constant_shares(target)
    assert found is not None, "a target without a certificate has a constant solution"
    why, constant, help_ = found
    return error(
        "M3I0301",
        f"target `{target.name}` can collapse: {why}",
        target.settings["regularization"],
        secondary=(Label(target.representation.span, "shares of prototypes, which are trained"),),
        notes=(constant,),
        helps=(help_,),
    )
