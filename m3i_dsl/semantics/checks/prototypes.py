"""Prototypes: a target distribution over prototypes can be made, and no constant one is best.

The loss is H(q, p) with shares q of the target and p of the prediction. It vanishes when q and p are the same one
prototype for every image; and as far as it can fall while q says nothing of the image, when all shares are equal.
Centring works against the first and sharpening against the second, Sinkhorn against both.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Placed, Program, Target
from m3i_dsl.vocabulary.distributions.boltzmann import Boltzmann
from m3i_dsl.vocabulary.kinds import ImageEncoder, Regularization
from m3i_dsl.vocabulary.predictors.prototypes import Prototypes
from m3i_dsl.vocabulary.regularizations.centering import Centering
from m3i_dsl.vocabulary.regularizations.sharpening import Sharpening
from m3i_dsl.vocabulary.regularizations.sinkhorn import Sinkhorn
from m3i_dsl.vocabulary.values import number_text

ONE_FOR_ALL = "q = p = one and the same prototype for every image reaches loss 0, and tells nothing about the image"
EQUAL_SHARES = "q = p = 1/K for every image is a constant that nothing works against, and tells nothing about the image"


def check_prototypes(program: Program) -> Iterator[Diagnostic]:
    """M3I0325 for shares that cannot be made, M3I0319 for terms that do not go together or with the target."""
    for objective in program.objectives:
        for target in objective.targets:
            if target.representation.word.form == "prototypes":
                yield from _made(target)
                yield from _terms(target)
                yield from _temperature(target)
            else:
                yield from _misplaced(target)


def balance(target: Target) -> str | None:
    """Why shares of prototypes cannot become the same for every image, in one clause; None if they can."""
    words = [placed.word for placed in target.regularizations]
    if any(isinstance(word, Sinkhorn) for word in words):
        return Sinkhorn.certificate
    encoder = target.encoder
    follows = encoder is not None and encoder.momentum is not None
    if not follows or constant_shares(target) is not None:
        return None
    return Centering.certificate


def constant_shares(target: Target) -> tuple[str, str, str] | None:
    """The constant solution that nothing works against: why, which, and what to write. None if there is none."""
    words = {type(placed.word): placed for placed in target.regularizations}
    sharpening = words.get(Sharpening)
    if Centering not in words:
        return "nothing keeps one prototype from winning", ONE_FOR_ALL, "write `centering + sharpening`, or `sinkhorn`"
    if sharpening is None:
        return "`centering` alone makes all shares equal", EQUAL_SHARES, "write `centering + sharpening`"
    assert isinstance(sharpening.word, Sharpening)
    distribution = target.distribution.word
    highest = sharpening.word.highest()
    if isinstance(distribution, Boltzmann) and highest >= distribution.temperature.value:
        return (
            f"a target temperature of {number_text(highest)} sharpens nothing: "
            f"the prediction's is {number_text(distribution.temperature.value)}",
            EQUAL_SHARES,
            "choose a temperature of `sharpening` below that of `boltzmann`",
        )
    encoder = target.encoder
    assert encoder is not None
    if encoder.momentum is None or (encoder.momentum.start, encoder.momentum.stop) == (0, 0):
        return (
            "the target moves as fast as the prediction, ahead of its running mean",
            ONE_FOR_ALL,
            "take the target from `ema of` the encoder, or write `sinkhorn`",
        )
    return None


def _made(target: Target) -> Iterator[Diagnostic]:
    """Scores come from prototypes, and something makes them a distribution."""
    encoder = target.encoder
    assert encoder is not None
    word = encoder.word.word
    if isinstance(word, ImageEncoder) and not isinstance(word.projector, Prototypes):
        yield error(
            "M3I0325",
            f"`{encoder.name}` has no prototypes to be distributed over",
            target.representation.span,
            secondary=(Label(encoder.word.span, "its projector has none"),),
            helps=("write `projector: prototypes(COUNT)`, or `representation global feature`",),
        )
    if encoder.frozen and not any(isinstance(p.word, (Sharpening, Sinkhorn)) for p in target.regularizations):
        yield error(
            "M3I0325",
            "nothing makes the scores of the prototypes a distribution",
            target.settings["regularization"],
            secondary=(Label(target.representation.span, "shares of prototypes"),),
            helps=("write `sharpening(temperature: ...)`",),
        )


def _terms(target: Target) -> Iterator[Diagnostic]:
    words = {type(placed.word): placed for placed in target.regularizations}
    sinkhorn = words.get(Sinkhorn)
    for other in (Centering, Sharpening):
        if sinkhorn is not None and other in words:
            second = words[other]
            does = "balances the prototypes" if other is Centering else "has a temperature"
            message = f"`{second.word.name}` is added to `sinkhorn`, which {does} itself"
            secondary = (Label(sinkhorn.span, "this does both"),)
            yield error("M3I0319", message, second.span, secondary=secondary, helps=("leave it out",))
    for placed in target.regularizations:
        if placed.word.penalizes and not placed.word.standardizes:
            message = f"`{placed.word.name}` is a term on features, but the target is a distribution"
            secondary = (Label(target.representation.span, "the target representation"),)
            yield error("M3I0319", message, placed.span, secondary=secondary, helps=("leave it out",))


def _temperature(target: Target) -> Iterator[Diagnostic]:
    word = target.distribution.word
    if isinstance(word, Boltzmann) and word.temperature.learned:
        yield error(
            "M3I0304",
            "a learned temperature, which training could take below that of the target's shares",
            target.distribution.argument("temperature"),
            secondary=(Label(target.representation.span, "sharper than the prediction by declaration"),),
            helps=("write the number alone (DINO: 0.1)",),
        )


def _misplaced(target: Target) -> Iterator[Diagnostic]:
    found: list[Placed[Regularization]] = [placed for placed in target.regularizations if placed.word.assigns]
    for placed in found:
        yield error(
            "M3I0319",
            f"`{placed.word.name}` is for shares of prototypes, not for `{target.representation.word.name}`",
            placed.span,
            secondary=(Label(target.representation.span, "the target representation"),),
            helps=("write `representation prototype distribution of ENCODER`, or leave it out",),
        )
