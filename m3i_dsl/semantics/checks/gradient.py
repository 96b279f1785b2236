"""Gradient: what is trained gets a gradient, what is averaged or frozen is used, what is frozen is not asked to train."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Program


def check_gradient(program: Program) -> Iterator[Diagnostic]:
    yield from _frozen_inputs(program)
    yield from _dead_state(program)
    yield from _detached(program)


def _frozen_inputs(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        if not objective.encoder.trained:
            how = "frozen" if objective.encoder.frozen else "an average"
            yield error(
                "M3I0307",
                f"the objective would train `{objective.encoder.name}`, which is {how}",
                objective.represent.span,
                secondary=(Label(objective.encoder.span, "never gets a gradient"),),
                helps=("represent the input by a trained encoder",),
            )


def _dead_state(program: Program) -> Iterator[Diagnostic]:
    read = {target.encoder.name for o in program.objectives for target in o.targets if target.encoder is not None}
    trained = {objective.encoder.name for objective in program.objectives}
    trained |= {name for name in read if program.encoders[name].trained}
    for encoder in program.encoders.values():
        if encoder.trained:
            continue
        if encoder.name not in read:
            kind = "average" if encoder.momentum is not None else "frozen encoder"
            yield error(
                "M3I0312",
                f"the {kind} `{encoder.name}` is never read: no target is a representation of it",
                encoder.span,
                helps=(f"write `representation ... of {encoder.name}` in a target, or remove it",),
            )
        elif encoder.momentum is not None and encoder.of not in trained:
            yield error(
                "M3I0312",
                f"`{encoder.name}` averages `{encoder.of}`, which no objective trains",
                encoder.span,
                helps=(f"represent the input by `{encoder.of}`, or use `frozen of {encoder.of}`",),
            )


def _detached(program: Program) -> Iterator[Diagnostic]:
    """Trained parts behind a stop gradient."""
    gets_gradient = {objective.encoder.name for objective in program.objectives}
    for objective in program.objectives:
        for target in objective.targets:
            detaching = [placed for placed in target.regularizations if placed.word.detaches]
            own = target.representation.word.trained
            encoder = target.encoder
            needs = encoder is not None and encoder.trained and encoder.name not in gets_gradient
            if detaching and (own or needs):
                what = f"`{target.representation.word.name}`" if own else f"`{encoder.name}`" if encoder else ""
                yield error(
                    "M3I0316",
                    f"{what} is trained, but its only gradient is stopped",
                    detaching[0].span,
                    "the gradient ends here",
                    secondary=(Label(target.representation.span, "trained parameters"),),
                    helps=("leave `stop gradient` out, or take the representation of an `ema of` or `frozen` encoder",),
                )
