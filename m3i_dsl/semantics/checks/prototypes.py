"""Prototypes: a target distribution over prototypes can be made, and no constant one is best.

The loss is H(q, p) with shares q of the target and p of the prediction. It vanishes when q and p are the same one
prototype for every image; and as far as it can fall while q says nothing of the image, when all shares are equal.
Centring and a mean prediction of high entropy work against the first and sharpening against the second, Sinkhorn
against both.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Placed, Program, Target
from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import number_text

ONE_FOR_ALL = "q = p = one and the same prototype for every image reaches loss 0, and tells nothing about the image"
EQUAL_SHARES = "q = p = 1/K for every image is a constant that nothing works against, and tells nothing about the image"


def check_prototypes(program: Program) -> Iterator[Diagnostic]:
    """M3I0325 for shares that cannot be made, M3I0319 for terms that do not go together or with the target."""
    for objective in program.objectives:
        for target in objective.targets:
            if target.representation.word.assigned:
                yield from _made(target)
                yield from _terms(target)
            else:
                yield from _misplaced(target)


def balance(target: Target) -> str | None:
    """Why shares of prototypes cannot become the same for every image, in one clause; None if they can."""
    balancing = _alone(target)
    if balancing is not None:
        return balancing.word.certificate
    if constant_shares(target) is not None:
        return None
    return next(placed.word.certificate for placed in target.regularizations if placed.word.certificate)


def constant_shares(target: Target) -> tuple[str, str, str] | None:
    """The constant solution that nothing works against: why, which, and what to write. None if there is none."""
    shifting = next((p for p in target.regularizations if "one for all" in p.word.prevents), None)
    sharpening = next((p for p in target.regularizations if "equal" in p.word.prevents), None)
    if shifting is None:
        return "nothing keeps one prototype from winning", ONE_FOR_ALL, "write `centering + sharpening`, or `sinkhorn`"
    if sharpening is None:
        name = shifting.word.name
        return f"`{name}` alone makes all shares equal", EQUAL_SHARES, f"write `{name} + sharpening`"
    temperature, highest = target.distribution.word.softmax_temperature(), sharpening.word.highest_temperature()
    if temperature is not None and highest is not None and highest >= temperature.value:
        return (
            f"a target temperature of {number_text(highest)} sharpens nothing: "
            f"the prediction's is {number_text(temperature.value)}",
            EQUAL_SHARES,
            f"choose a temperature of `{sharpening.word.name}` below that of `{target.distribution.word.name}`",
        )
    encoder = target.encoder
    assert encoder is not None
    if shifting.word.joint:
        return None  # a term of the loss itself, which no motion outruns
    if encoder.momentum is None or (encoder.momentum.start, encoder.momentum.stop) == (0, 0):
        return (
            "the target moves as fast as the prediction, ahead of its running mean",
            ONE_FOR_ALL,
            "take the target from `ema of` the encoder, or write `sinkhorn`",
        )
    return None


def _alone(target: Target) -> Placed[Regularization] | None:
    """The term that works against every constant by itself."""
    whole = (placed for placed in target.regularizations if placed.word.prevents >= {"one for all", "equal"})
    return next(whole, None)


def _made(target: Target) -> Iterator[Diagnostic]:
    """Scores come from prototypes, and something makes them a distribution."""
    encoder = target.encoder
    assert encoder is not None
    projector = encoder.image.projector
    if projector is None or not projector.scores_prototypes:
        yield error(
            "M3I0325",
            f"`{encoder.name}` has no prototypes to be distributed over",
            target.representation.span,
            secondary=(Label(encoder.word.span, "its projector has none"),),
            helps=("write `projector: prototypes(COUNT)`, or `representation global feature`",),
        )
    if encoder.frozen and not any(placed.word.makes_shares for placed in target.regularizations):
        yield error(
            "M3I0325",
            "nothing makes the scores of the prototypes a distribution",
            target.settings["regularization"],
            secondary=(Label(target.representation.span, "shares of prototypes"),),
            helps=("write `sharpening(temperature: ...)`",),
        )


def _terms(target: Target) -> Iterator[Diagnostic]:
    whole = _alone(target)
    for second in target.regularizations:
        if whole is not None and second is not whole and second.word.prevents and not _adds_to(second, whole):
            does = "has a temperature" if second.word.makes_shares else "balances the prototypes"
            message = f"`{second.word.name}` is added to `{whole.word.name}`, which {does} itself"
            secondary = (Label(whole.span, "this does both"),)
            yield error("M3I0319", message, second.span, secondary=secondary, helps=("leave it out",))
    makes = any(p.word.makes_shares and not p.word.takes_shares() for p in target.regularizations)
    for placed in target.regularizations:
        if placed.word.takes_shares() and not makes:
            message = f"`{placed.word.name}` without a temperature balances shares, and nothing makes the scores shares"
            helps = (f"write `{placed.word.name}(temperature: 0.05)`, or `sharpening + {placed.word.name}`",)
            yield error("M3I0319", message, placed.span, helps=helps)
        if placed.word.joint and target.representation.word.has_grid:
            message = f"`{placed.word.name}` is of one prediction of each input, but the target has one for each token"
            secondary = (Label(target.representation.span, "the target representation"),)
            yield error("M3I0319", message, placed.span, secondary=secondary, helps=("leave it out",))
        if placed.word.penalizes and not placed.word.standardizes:
            message = f"`{placed.word.name}` is a term on features, but the target is a distribution"
            secondary = (Label(target.representation.span, "the target representation"),)
            yield error("M3I0319", message, placed.span, secondary=secondary, helps=("leave it out",))


def _adds_to(second: Placed[Regularization], whole: Placed[Regularization]) -> bool:
    """Whether `second` does what `whole` leaves to it, or adds a term of its own."""
    return second.word.joint or (whole.word.takes_shares() and second.word.makes_shares)


def _misplaced(target: Target) -> Iterator[Diagnostic]:
    found = [placed for placed in target.regularizations if placed.word.assigns or placed.word.joint]
    for placed in found:
        yield error(
            "M3I0319",
            f"`{placed.word.name}` is for shares of prototypes, not for `{target.representation.word.name}`",
            placed.span,
            secondary=(Label(target.representation.span, "the target representation"),),
            helps=("write `representation prototype distribution of ENCODER`, or leave it out",),
        )
