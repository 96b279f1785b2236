"""Leak: the input does not give its target away."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.checks.collapse import certificate
from m3i_dsl.semantics.program import Program


def check_leak(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            if target.encoder is None:
                continue
            own, averaged = target.encoder is objective.encoder, target.encoder.averages(objective.encoder)
            if not own and not averaged:
                continue
            for reference in target.data:
                shown = next((i for i in objective.predictors_of(target, reference) if i.shows(reference)), None)
                if shown is None:
                    continue
                masked = objective.hides(shown) is not None
                if averaged and (masked or target.compares_samples or target.predictor.word.changes):
                    continue  # a hidden part is to be predicted; a contrast of a view with itself is M3I0803
                if not masked:
                    encoder = "same encoder" if own else f"`{target.encoder.name}` averages the encoder"
                    yield error(
                        "M3I0309",
                        f"the input contains its target: {encoder}, same view, nothing masked",
                        reference.span,
                        secondary=(Label(objective.settings["input"], "the input"),),
                        helps=("mask the input, predict another view, or use another encoder for the target",),
                    )
                elif not target.detached and certificate(objective, target) is not None:
                    yield error(
                        "M3I0308",
                        f"the target is `{objective.encoder.name}`'s own pass over the unmasked view, with gradient",
                        target.representation.span,
                        secondary=(Label(objective.settings["input"], "the same view, masked"),),
                        notes=("the encoder sees what it is to predict, and can make both sides easy",),
                        helps=("take the target from `ema of` the encoder, or add `stop gradient`",),
                    )
