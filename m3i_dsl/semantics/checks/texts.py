"""Texts: what a text as input can predict, and how its tokens are compared.

A text is a row of tokens of which some are padding, so texts differ in how many count. Each of them is predicted and
compared by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.semantics.scope import word_fault
from m3i_dsl.vocabulary.kinds import WordError


def check_texts(program: Program) -> Iterator[Diagnostic]:
    """Faults of objectives whose input is a text, and of tokens of texts that are predicted from images."""
    for objective in program.objectives:
        if not objective.of_texts:
            for target in objective.targets:
                yield from _from_images(objective, target)
        if objective.of_texts:
            yield from _input(objective)
            for target in objective.targets:
                yield from (
                    _dense(objective, target) if target.representation.word.has_grid else _pooled(objective, target)
                )


def _from_images(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    reads = target.representation.word.reads_of(target.encoder and target.encoder.word.word)
    texts = [reference for reference in target.data if reference.modality.tokenized]
    if texts and isinstance(texts[0].modality, reads) and target.representation.word.has_grid:
        message = f"the tokens of `{objective.inputs[0].view.declared_as}` have no places in `{texts[0].field}`"
        secondary = (Label(objective.inputs[0].span, "the input"),)
        helps = ("write `representation text embedding of ENCODER`",)
        yield error("M3I0214", message, texts[0].span, secondary=secondary, helps=helps)


def _input(objective: Objective) -> Iterator[Diagnostic]:
    mask = objective.inputs[0].mask
    if mask is not None:
        try:
            mask.word.hidden(objective.shape.grid, objective.shape.stride)
        except WordError as fault:
            yield word_fault(mask, fault, "M3I0213")
    if objective.symmetric:
        message = "a text has no other view to swap with"
        secondary = (Label(objective.inputs[0].span, "the input"),)
        helps = ("leave `symmetric` out",)
        yield error("M3I0313", message, objective.settings["symmetric"], secondary=secondary, helps=helps)


def _pooled(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """One vector is made of a text as its encoder pools."""
    predictor = target.predictor
    label = (Label(objective.inputs[0].span, "the input is a text"),)
    if predictor.word.pools:
        message = f"`{predictor.word.name}` would attend to the padding of a text"
        helps = ("use `linear` or `mlp`: the encoder of a text pools its tokens",)
        yield error("M3I0214", message, predictor.span, secondary=label, helps=helps)
    elif predictor.word.pooling() == "class":
        message = f"`{objective.encoder.name}` has no class token to pool"
        helps = ("leave `pool` out: the encoder of a text pools as its own `pool` says",)
        yield error("M3I0218", message, predictor.argument("pool"), secondary=label, helps=helps)


def _dense(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    shown, predictor, distribution = objective.inputs[0], target.predictor, target.distribution
    label = (Label(shown.span, "the input"),)
    for reference in target.data:
        if not shown.shows(reference):
            message = f"the tokens of `{shown.view.name}` have no places in `{reference.span.text}`"
            helps = (f"write `data {shown.view.name}`, or predict one vector",)
            yield error("M3I0214", message, reference.span, secondary=label, helps=helps)
            return
    encoder = target.encoder
    if encoder is not None and objective.encoder.name not in (encoder.name, encoder.of):
        message = f"`{encoder.name}` has other tokens than `{objective.encoder.name}`"
        helps = (f"take the target from `ema of {objective.encoder.name}`",)
        yield error("M3I0214", message, target.representation.span, secondary=label, helps=helps)
    elif target.representation.word.matches():
        message = "tokens of texts differ in number, so none is found by its feature"
        helps = ("write `match: position`",)
        yield error("M3I0214", message, target.representation.argument("match"), secondary=label, helps=helps)
    if not predictor.word.per_token:
        message = f"`{predictor.word.name}` does not predict each token of a text by itself"
        helps = ("use `linear`, `mlp`, or `identity`",)
        yield error("M3I0214", message, predictor.span, secondary=label, helps=helps)
    if distribution.word.hidden_only() and shown.mask is None:
        message = "`tokens: hidden` needs a masked input"
        helps = (f"write `input masked {shown.view.name} by tokens(15%)`",)
        yield error("M3I0217", message, distribution.argument("tokens"), secondary=label, helps=helps)
    among_samples = distribution.word.contrasts and target.representation.word.candidates.of_batch
    if among_samples or not distribution.word.weighs_tokens:
        message = (
            f"`{distribution.word.name}` takes as many tokens of each sample, and texts differ in how many they have"
        )
        helps = ("compare with `gaussian`, or predict one vector",)
        yield error("M3I0217", message, distribution.span, secondary=label, helps=helps)
    for placed in target.regularizations:
        if placed.word.penalizes:
            message = (
                f"`{placed.word.name}` takes as many tokens of each sample, and texts differ in how many they have"
            )
            yield error("M3I0217", message, placed.span, secondary=label, helps=("leave it out",))
