"""Gradient: what is trained gets a gradient, what is averaged or frozen is used, what is frozen is not asked to
train.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.geometry import projects
from m3i_dsl.semantics.program import EncoderDeclaration, Program


def check_gradient(program: Program) -> Iterator[Diagnostic]:
    yield from _frozen_inputs(program)
    yield from _dead_state(program)
    yield from _detached(program)
    yield from _dead_projectors(program)


def _frozen_inputs(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        encoder = objective.encoder
        if not encoder.trained:
            how = "frozen" if encoder.frozen else f"an average of `{encoder.of}`"
            trained = [e.name for e in program.encoders.values() if e.trained and e.word.word.modality == "image"]
            helps = (f"write `represent dense feature of {trained[0]}`",) if trained else ("define a trained encoder",)
            yield error(
                "M3I0307",
                f"the objective would train `{encoder.name}`, which is {how}",
                objective.settings["represent"],
                secondary=(Label(encoder.word.span, "never gets a gradient"),),
                helps=helps,
            )


def _dead_state(program: Program) -> Iterator[Diagnostic]:
    read = {target.encoder.name for o in program.objectives for target in o.targets if target.encoder is not None}
    represented = {objective.encoder.name for objective in program.objectives}
    used = read | represented
    trained = {name for name in used if program.encoders[name].trained}
    for encoder in program.encoders.values():
        if encoder.trained or encoder.name in represented:  # the latter is what `_frozen_inputs` reports
            continue
        if encoder.name not in used:
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
                encoder.word.span,
                helps=(f"represent the input by `{encoder.of}`, or write `frozen of {encoder.of}`",),
            )


def _detached(program: Program) -> Iterator[Diagnostic]:
    """Trained parts behind a stop gradient."""
    moved = {objective.encoder.name for objective in program.objectives}
    moved |= {
        target.encoder.name
        for objective in program.objectives
        for target in objective.targets
        if target.encoder is not None and not target.detached
    }
    for objective in program.objectives:
        for target in objective.targets:
            encoder = target.encoder
            word = target.representation.word
            own = word.trained and (word.chosen or encoder is None or encoder.trained)
            needs = encoder is not None and encoder.trained and encoder.name not in moved
            if not target.detached or not (own or needs):
                continue
            what = f"`{word.name}`" if own else f"`{encoder.name}`" if encoder is not None else ""
            stops = next(placed for placed in target.regularizations if placed.word.detaches)
            yield error(
                "M3I0316",
                f"{what} has trained parameters, but their only gradient is stopped",
                stops.span,
                "the gradient ends here",
                secondary=(Label(target.representation.span, "trained parameters"),),
                helps=("leave `stop gradient` out, or take the representation of an `ema of` or `frozen of` encoder",),
            )


def _dead_projectors(program: Program) -> Iterator[Diagnostic]:
    """A projector is trained by the targets whose representation goes through it."""
    projected = {o.encoder.name for o in program.objectives for target in o.targets if projects(o, target)}
    for encoder in program.encoders.values():
        if encoder.trained and _has_projector(encoder) and encoder.name in _represented(program) - projected:
            yield error(
                "M3I0316",
                f"the projector of `{encoder.name}` gets no gradient: no target compares projected features",
                encoder.word.argument("projector"),
                helps=("leave the projector out, or add a target that is a feature with `projected: true`",),
            )


def _represented(program: Program) -> set[str]:
    return {objective.encoder.name for objective in program.objectives}


def _has_projector(encoder: EncoderDeclaration) -> bool:
    word = encoder.word.word.as_image()
    return word is not None and word.projector is not None
