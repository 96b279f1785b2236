"""Codes: a tokenizer ends in a codebook, and does not move while its codes are predicted."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import EncoderDeclaration, Program, Target


def check_codes(program: Program) -> Iterator[Diagnostic]:
    """M3I0210 for an encoder without codebook, M3I0328 for one that moves, M3I0327 for a codebook that predicts."""
    for objective in program.objectives:
        for target in objective.targets:
            if target.predictor.word.codes() is not None:
                yield error(
                    "M3I0327",
                    "a codebook ends the projector of an encoder, and here it would end a predictor",
                    target.predictor.span,
                    helps=("write it in the encoder: `projector: mlp(...) | codebook(...)`",),
                )
            if target.representation.word.coded and target.encoder is not None:
                yield from _tokenizer(target, target.encoder)


def _tokenizer(target: Target, encoder: EncoderDeclaration) -> Iterator[Diagnostic]:
    name = target.representation.word.name
    projector = encoder.image.projector
    if projector is None or projector.codes() is None:
        yield error(
            "M3I0210",
            f"`{encoder.name}` makes no codes, which `{name}` is of",
            target.representation.span,
            secondary=(Label(encoder.word.span, "its projector does not end in a codebook"),),
            helps=("write `projector: mlp(...) | codebook(...)`, or `representation dense feature`",),
        )
    elif not encoder.frozen:
        how = "trained" if encoder.trained else f"an average of `{encoder.of}`"
        source = encoder.name if encoder.trained else encoder.of
        yield error(
            "M3I0328",
            f"the codes of `{encoder.name}` would change their meaning while they are predicted: it is {how}",
            target.representation.span,
            secondary=(Label(encoder.span, "moves"),),
            helps=(f"write `encoder codes = frozen of {source}`, and `{name} of codes`",),
        )
