"""Geometry: views fit encoders, masks fit grids, and a dense target can be placed."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import EncoderDeclaration, Objective, Placed, Program, Target, View
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import ImageEncoder, Mask, WordError
from m3i_dsl.vocabulary.representations.dense_feature import DenseFeature


def check_geometry(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        yield from _inputs(objective)
        for target in objective.targets:
            yield from _target(objective, target)


def _inputs(objective: Objective) -> Iterator[Diagnostic]:
    encoder = objective.encoder
    for reference in objective.inputs:
        yield from _view_fits(reference.view, encoder, reference.span)
    if objective.symmetric:
        yield from _symmetric(objective)
    mask = objective.mask
    if mask is not None:
        yield from _mask(mask, mask.word, encoder, drops=mask.word.tokens == "drop")
    if objective.mix is not None:
        yield from _mask(objective.mix, objective.mix.word.by, encoder, drops=False)
        word = encoder.word.word
        if objective.mix.word.attention == "isolated" and not (isinstance(word, Timm) and word.isolates()):
            message = f"`{encoder.name}` cannot keep attention within each image of a mix"
            yield _about_encoder("M3I0216", message, objective.mix.argument("attention"), encoder, "write `joint`")


def _view_fits(view: View, encoder: EncoderDeclaration, span: Span) -> Iterator[Diagnostic]:
    word = encoder.word.word
    assert isinstance(word, ImageEncoder)
    height, width = word.shape().image
    if view.size != (height, width):
        yield error(
            "M3I0212",
            f"`{encoder.name}` takes images of {height}x{width} px, but view `{view.name}` has "
            f"{view.size[0]}x{view.size[1]}",
            span,
            secondary=(Label(view.span, "the view"), Label(encoder.span, "the encoder")),
            helps=("give both the same size, best as one `param`",),
        )


def _mask(placed: Placed[object], mask: Mask, encoder: EncoderDeclaration, *, drops: bool) -> Iterator[Diagnostic]:  # type: ignore[type-var]  # only its spans are read
    word = encoder.word.word
    assert isinstance(word, ImageEncoder)
    if drops and not word.drops_tokens():
        message = f"`{encoder.name}` cannot drop tokens"
        yield _about_encoder("M3I0216", message, placed.span, encoder, "write `tokens: mask` in the mask")
    shape = word.shape()
    try:
        hidden = mask.hidden(shape.grid, shape.stride)
    except WordError as fault:
        span = placed.argument(fault.argument) if fault.argument else placed.span
        yield error("M3I0213", fault.message, span, helps=(fault.help,) if fault.help else ())
        return
    if not 0 < hidden < shape.grid.tokens:
        what = "all" if hidden else "none"
        message = f"the mask hides {what} of the {shape.grid.tokens} tokens ({shape.grid})"
        yield error("M3I0213", message, placed.span, helps=("change its ratio, or use smaller patches",))


def _about_encoder(code: str, message: str, span: Span, encoder: EncoderDeclaration, help_: str) -> Diagnostic:
    return error(code, message, span, secondary=(Label(encoder.span, "the encoder"),), helps=(help_,))


def _symmetric(objective: Objective) -> Iterator[Diagnostic]:
    views = {reference.view.name for t in objective.targets for reference in t.data if reference.view is not None}
    span = objective.settings.get("symmetric", objective.span)
    if objective.mix is not None or len(views) != 1 or views == {objective.inputs[0].view.name}:
        yield error(
            "M3I0313",
            "a symmetric objective has one input view and one other target view to swap",
            span,
            helps=("leave `symmetric` out, or let every image target be of the one other view",),
        )


def _target(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    word = objective.encoder.word.word
    assert isinstance(word, ImageEncoder)
    representation = target.representation.word
    for reference in target.data:
        if reference.view is None:
            continue
        if target.encoder is not None and isinstance(target.encoder.word.word, ImageEncoder):
            yield from _view_fits(reference.view, target.encoder, reference.span)
        elif any(side % word.shape().stride for side in reference.view.size):
            stride = word.shape().stride
            message = f"view `{reference.view.name}` is not a whole number of patches of {stride} px"
            yield error("M3I0212", message, reference.span, secondary=(Label(reference.view.span, "the view"),))
        if representation.form == "dense":
            yield from _placed(objective, target, reference.view, reference.span)
    if isinstance(representation, DenseFeature) and target.encoder is not None:
        teacher = target.encoder.word.word
        if isinstance(teacher, ImageEncoder) and representation.layers > max(1, teacher.shape().depth):
            message = f"`{target.encoder.name}` has {teacher.shape().depth} blocks to average"
            yield error("M3I0203", message, target.representation.argument("layers"), "asks for more")
    for placed, encoder in ((target.predictor, objective.encoder), (target.representation, target.encoder)):
        class_pool = getattr(placed.word, "pool", None) == "class"
        if class_pool and encoder is not None and isinstance(encoder.word.word, ImageEncoder):
            if encoder.word.word.shape().prefix == 0:
                message = f"`{encoder.name}` has no class token to pool"
                yield _about_encoder("M3I0218", message, placed.argument("pool"), encoder, "write `pool: mean`")


def _placed(objective: Objective, target: Target, view: View, span: Span) -> Iterator[Diagnostic]:
    """A dense prediction must know which target token it is for."""
    predictor = target.predictor
    same_view = view is objective.inputs[0].view
    matches = isinstance(target.representation.word, DenseFeature) and target.representation.word.match == "feature"
    hidden_only = target.distribution.word.tokens == "hidden"
    masked = objective.mask is not None or objective.mix is not None
    dropped = objective.mix is not None or (objective.mask is not None and objective.mask.word.tokens == "drop")
    if hidden_only and not (masked and same_view):
        yield error(
            "M3I0217",
            "`tokens: hidden` needs a masked input of the same view",
            target.distribution.argument("tokens"),
            secondary=(Label(span, "the target's data"), Label(objective.inputs[0].span, "the input")),
            helps=("write `tokens: all`",),
        )
    if not predictor.word.queries and dropped and not matches:
        yield error(
            "M3I0214",
            f"`{predictor.word.name}` cannot predict tokens that the encoder did not see",
            predictor.span,
            secondary=(Label(objective.inputs[0].span, "tokens are left out here"),),
            helps=("use `predictor decoder`", "or keep them as mask tokens: `tokens: mask` in the mask"),
        )
    elif not same_view and not matches and not predictor.word.relative():
        yield error(
            "M3I0214",
            f"`{predictor.word.name}` cannot place the tokens of another view",
            predictor.span,
            secondary=(Label(span, f"`{view.name}` is not the input view"),),
            helps=("use `predictor decoder(position: relative)`", f"or predict `{objective.inputs[0].view.name}`"),
        )
    elif same_view and not predictor.word.queries and target.encoder is not None and not matches:
        yield from _same_grid(objective.encoder, target.encoder, predictor.span)


def _same_grid(first: EncoderDeclaration, second: EncoderDeclaration, span: Span) -> Iterator[Diagnostic]:
    one, two = first.word.word, second.word.word
    if isinstance(one, ImageEncoder) and isinstance(two, ImageEncoder) and one.shape().grid != two.shape().grid:
        yield error(
            "M3I0214",
            f"a prediction for each token of a {one.shape().grid} grid does not fit a target grid of {two.shape().grid}",
            span,
            secondary=(Label(first.span, "predicts from here"), Label(second.span, "the target's encoder")),
            helps=("use `predictor decoder`, which asks for positions of the target",),
        )
