"""Geometry: views fit encoders, masks fit grids, and a dense target can be placed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.geometry import accepted, sizes_differ, target_grid, tokenizes
from m3i_dsl.semantics.program import (
    EncoderDeclaration,
    InputReference,
    Objective,
    Placed,
    Program,
    Target,
    TargetReference,
    TextField,
    View,
)
from m3i_dsl.semantics.scope import word_fault
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.kinds import FeatureShape, Mask, Pooling, WordError
from m3i_dsl.vocabulary.values import counted


def check_geometry(program: Program) -> Iterator[Diagnostic]:
    """Faults of views, masks and positions, objective by objective."""
    for objective in program.objectives:
        yield from _inputs(objective)
        for target in objective.targets:
            yield from _target(objective, target)


def shape_of(encoder: EncoderDeclaration) -> FeatureShape:
    """What an image encoder yields."""
    word = encoder.image
    return word.shape()


# --- input ------------------------------------------------------------------------------------------------------------


def _inputs(objective: Objective) -> Iterator[Diagnostic]:
    encoder = objective.encoder
    if not objective.of_texts:
        yield from _sees_its_views(encoder)
    for reference in objective.inputs:
        if isinstance(reference.view, TextField):
            return  # checks/texts.py
        yield from _input_fits(reference.view, encoder, reference.span, objective)
    if objective.symmetric and not objective.several:
        yield from _symmetric(objective)
    for shown in objective.inputs:
        first = shown.view.place is None or shown.view.place.index == 0  # said once for a list
        if shown.mask is not None and first and accepted(encoder.image, shown.view, objective):
            mask, shape = shown.mask, encoder.shape_of(shown.view)
            yield from _mask(mask, mask.word, encoder, shape, drops=mask.word.tokens == "drop")
    mix = objective.mix
    if mix is not None:
        mask, names = mix.word.mask(), [parameter.name for parameter in mix.word.parameters()]
        outer = next((name for name in names if getattr(mix.word, name) is mask), None)
        yield from _mask(mix, mask, encoder, encoder.image.shape(), drops=False, outer=outer)
        if mask.varies():
            message = "each image of a mix shows as many tokens as any other, and this mask hides more of some"
            place = mix.argument(outer)
            yield error("M3I0213", message, place, helps=("write a ratio, and leave `share` out",))
        word = encoder.image
        if mix.word.attention == "isolated" and not word.isolates():
            message = f"`{encoder.name}` cannot keep attention within each image of a mix"
            help_ = "write `attention: joint`" if "attention" in names else "use another mix, or another encoder"
            yield _about_encoder("M3I0216", message, mix.argument("attention"), encoder, help_)


def _sees_its_views(encoder: EncoderDeclaration) -> Iterator[Diagnostic]:
    """Views are made for the encoder that they train: only a teacher has pixels of its own."""
    word = encoder.image
    wanted = word.statistics()
    for argument, given in (("mean", wanted.mean), ("std", wanted.std), ("fit", word.resizes() or None)):
        if given is not None:
            yield error(
                "M3I0207",
                f"`{argument}` is of teachers, and `{encoder.name}` is trained on its views as they are",
                encoder.word.argument(argument),
                helps=(
                    "give the view the size of the encoder"
                    if argument == "fit"
                    else "end the view with `normalize(mean: ..., std: ...)`",
                ),
            )


def _input_fits(view: View, encoder: EncoderDeclaration, span: Span, objective: Objective) -> Iterator[Diagnostic]:
    """One of several inputs may have another size than the encoder's own, if it can take it."""
    if view.size == shape_of(encoder).image or not objective.several:
        yield from _view_fits(view, encoder, span)
        return
    if view.place is not None and view.place.index > 0:
        return  # said once for a list
    word = encoder.image
    try:
        word.shape_at(view.size)
    except WordError as fault:
        height, width = view.size
        sized = next((t for t in reversed(view.transforms) if "size" in t.arguments), None)
        secondary = (
            [] if sized is None else [Label(sized.argument("size"), f"`{view.declared_as}` is {height}x{width}")]
        )
        secondary.append(Label(encoder.word.span, "the encoder"))
        message = f"`{encoder.name}` cannot take views of {height}x{width} px: {fault.message}"
        helps = (fault.help,) if fault.help else ()
        yield error("M3I0212", message, span, secondary=secondary, helps=helps)


def _view_fits(view: View, encoder: EncoderDeclaration, span: Span) -> Iterator[Diagnostic]:
    height, width = shape_of(encoder).image
    if view.size == (height, width) or encoder.image.resizes():
        return
    sized = next((t for t in reversed(view.transforms) if "size" in t.arguments), None)
    place = (encoder.word.argument("image"), f"`{encoder.name}` takes {height}x{width}")
    secondary = [Label(*place)] if encoder.of is None else [Label(encoder.span, place[1])]
    if sized is not None:
        secondary.insert(0, Label(sized.argument("size"), f"`{view.declared_as}` is {view.size[0]}x{view.size[1]}"))
    yield error(
        "M3I0212",
        f"`{encoder.name}` takes images of {height}x{width} px, but view `{view.declared_as}` has "
        f"{view.size[0]}x{view.size[1]} px",
        span,
        secondary=secondary,
        helps=("give both the same size, best as one `param`",),
    )


def _mask(
    placed: Placed[Any],
    mask: Mask,
    encoder: EncoderDeclaration,
    shape: FeatureShape,
    *,
    drops: bool,
    outer: str | None = None,
) -> Iterator[Diagnostic]:
    """`shape` is that of the masked view's features; `outer` the argument of `placed` that holds the mask, if it is not
    `placed` itself.
    """
    word = encoder.image
    if drops and not word.drops_tokens():
        message = f"`{encoder.name}` cannot drop tokens"
        place = placed.argument("tokens")
        yield _about_encoder("M3I0216", message, place, encoder, "write `tokens: mask` in the mask")
    try:
        hidden = mask.hidden(shape.grid, shape.stride)
    except WordError as fault:
        shown = fault if outer is None else WordError(fault.message, argument=outer, help=fault.help)
        found = word_fault(placed, shown, "M3I0213")
        if outer is None and not placed.arguments and placed.span.text.startswith("masked"):
            found = replace(found, notes=(f"left out, `by` is `{mask.text()}`",))
        yield found
        return
    if not 0 < hidden < shape.grid.tokens:
        what = "all" if hidden else "none"
        message = f"the mask hides {what} of the {shape.grid.tokens} tokens ({shape.grid})"
        yield error("M3I0213", message, placed.argument(outer), helps=("change its ratio, or use smaller patches",))


def _about_encoder(code: str, message: str, span: Span, encoder: EncoderDeclaration, help_: str) -> Diagnostic:
    return error(code, message, span, secondary=(Label(encoder.word.span, "the encoder"),), helps=(help_,))


def _symmetric(objective: Objective) -> Iterator[Diagnostic]:
    """Swapping needs two views, and encoders that take either."""
    own = objective.inputs[0].view
    assert isinstance(own, View), "a text is checked in checks/texts.py"
    references = [reference for target in objective.targets for reference in target.data if reference.view is not None]
    span = objective.settings["symmetric"]
    helps = ("leave `symmetric` out, or let every image target be of the one other view",)
    if objective.mix is not None:
        message = "a mix has no two sides to swap"
        secondary = (Label(objective.mix.span, "the mix"),)
        yield error("M3I0313", message, span, secondary=secondary, helps=("leave `symmetric` out",))
        return
    others = {reference.view.name for reference in references if reference.view is not None}
    if len(others) != 1 or others == {own.name}:
        message = "a symmetric objective has one input view and one other target view to swap"
        named = ", ".join(f"`{name}`" for name in sorted(others))
        secondary = [Label(objective.inputs[0].span, "the input")]
        secondary += [Label(reference.span, "a target") for reference in references[:2]]
        notes = (f"the targets are of {named}",) if named else ("no target is of an image",)
        yield error("M3I0313", message, span, secondary=secondary, notes=notes, helps=helps)
        return
    other = references[0]
    assert other.view is not None
    if other.view.size != own.size:
        yield from _view_fits(other.view, objective.encoder, other.span)


# --- targets ----------------------------------------------------------------------------------------------------------


def _target(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    shape = objective.shape
    representation = target.representation.word
    for index, reference in enumerate(target.data):
        if reference.view is None or any(reference.span == earlier.span for earlier in target.data[:index]):
            continue  # one message for a list
        if target.encoder is not None and target.encoder.word.word.as_image() is not None:
            yield from _view_fits(reference.view, target.encoder, reference.span)
        elif any(side % shape.stride for side in reference.view.size):
            height, width = reference.view.size
            message = (
                f"view `{reference.view.name}` ({height}x{width} px) is no whole number of patches of {shape.stride} px"
            )
            label = Label(reference.view.span, "the view")
            helps = (f"choose sizes that are multiples of {shape.stride}px",)
            yield error("M3I0212", message, reference.span, secondary=(label,), helps=helps)
        if representation.has_grid and not objective.of_texts and not sizes_differ(objective, target):
            found = (
                list(_placed(objective, target, reference, shown))
                for shown in objective.predictors_of(target, reference)
            )
            yield from next(filter(None, found), [])
    if representation.blocks() > 1 and target.encoder is not None:
        depth = shape_of(target.encoder).depth if target.encoder.word.word.as_image() is not None else 1
        if representation.blocks() > max(1, depth):
            message = f"`{target.encoder.name}` has {depth} blocks to average, not {representation.blocks()}"
            place = target.representation.argument("layers")
            yield _about_encoder("M3I0203", message, place, target.encoder, f"write `layers: {max(1, depth)}` or fewer")
    yield from _pooled(objective, target)


def _pooled(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """Whatever pools the class token is of an encoder that has one."""
    representation = target.representation.word
    pooled: list[tuple[Placed[Any], EncoderDeclaration | None, Pooling | None]] = []
    if not representation.has_grid:
        pooled.append((target.predictor, objective.encoder, target.predictor.word.pooling()))
        pooled.append((target.representation, target.encoder, representation.pooling()))
    pooled.extend((placed, objective.encoder, placed.word.pooling()) for placed in target.regularizations)
    for placed, encoder, pooling in pooled:
        image = encoder.word.word.as_image() if encoder is not None else None
        pools = pooling == "class"
        if encoder is not None and image is not None and pools and image.shape().prefix == 0:
            message = f"`{encoder.name}` has no class token to pool"
            yield _about_encoder("M3I0218", message, placed.argument("pool"), encoder, "write `pool: mean`")


def _varying(target: Target, mask: Placed[Mask]) -> Iterator[Diagnostic]:
    """Of images that hide different numbers of tokens, each token is predicted and compared by itself."""
    distribution, predictor = target.distribution, target.predictor
    secondary = (Label(mask.span, "images differ in how many tokens are hidden"),)
    among_samples = distribution.word.contrasts and not target.representation.word.assigned
    if among_samples or not distribution.word.weighs_tokens:
        why = "chooses among tokens of other images" if among_samples else "takes as many tokens of each image"
        message = f"`{distribution.word.name}` {why}, and their number varies"
        helps = ("write one ratio in the mask, and leave its `share` out", "or compare with `gaussian`")
        yield error("M3I0217", message, distribution.argument("tokens"), secondary=secondary, helps=helps)
    for placed in target.regularizations:
        if placed.word.penalizes:
            message = f"`{placed.word.name}` takes as many tokens of each image, and their number varies"
            helps = ("write one ratio in the mask, and leave its `share` out",)
            yield error("M3I0217", message, placed.span, secondary=secondary, helps=helps)
    if predictor.word.queries:
        message = f"`{predictor.word.name}` asks for the hidden tokens, whose number varies"
        helps = ("use a predictor that maps each token, such as `linear`",)
        yield error("M3I0214", message, predictor.span, secondary=secondary, helps=helps)


def _prefix(objective: Objective, target: Target) -> Iterator[Diagnostic]:
    """Class and register tokens of a target need their counterpart among those of the prediction."""
    word, predictor, teacher = target.representation.word, target.predictor, target.encoder
    if not word.keeps_prefix() or teacher is None:
        return
    place = target.representation.argument("prefix")
    given = 0 if tokenizes(objective) else shape_of(objective.encoder).prefix
    wanted = shape_of(teacher).prefix
    if given != wanted:
        yield error(
            "M3I0215",
            f"`{objective.encoder.name}` has {counted(given, 'class or register token')}, but the target has {wanted}",
            place,
            secondary=(Label(objective.encoder.word.span, "predicts"), Label(teacher.word.span, "is predicted")),
            helps=("leave `prefix` out, or choose models with as many",),
        )
    elif word.matches() or target.distribution.word.hidden_only():
        other = "match: feature" if word.matches() else "tokens: hidden"
        message = f"`prefix: true` is of all tokens, and `{other}` of those of the grid"
        span = target.representation.argument("match") if word.matches() else target.distribution.argument("tokens")
        helps = (f"leave `prefix` out, or `{other}`",)
        yield error("M3I0217", message, span, secondary=(Label(place, "of all tokens"),), helps=helps)
    elif predictor.word.queries and not predictor.word.keeps_prefix:
        message = f"`{predictor.word.name}` is asked for positions, and class tokens have none"
        helps = ("use `linear`, `mlp`, `blocks` or `prompting decoder`", "or leave `prefix` out")
        yield error("M3I0214", message, predictor.span, secondary=(Label(place, "class tokens too"),), helps=helps)


def _placed(
    objective: Objective, target: Target, reference: TargetReference, shown: InputReference
) -> Iterator[Diagnostic]:
    """A dense prediction must know which target token it is for."""
    predictor = target.predictor
    view = reference.view
    assert view is not None
    same_view = view is shown.view
    word = target.representation.word
    matches = word.matches()
    masking = objective.hides(shown)
    dropped = objective.mix is not None or (shown.mask is not None and shown.mask.word.tokens == "drop")
    input_grid = objective.encoder.shape_of(shown.view).grid
    wanted_grid = target_grid(objective, target, view)
    if target.distribution.word.hidden_only() and not (masking is not None and same_view):
        yield error(
            "M3I0217",
            "`tokens: hidden` needs a masked input of the view that is predicted",
            target.distribution.argument("tokens"),
            secondary=(Label(reference.span, "what is predicted"), Label(shown.span, "the input")),
            helps=("write `tokens: all`",),
        )
    elif target.distribution.word.hidden_only() and input_grid != wanted_grid:
        yield error(
            "M3I0217",
            f"`tokens: hidden` means tokens of a {input_grid} grid, but the target's grid is {wanted_grid}",
            target.distribution.argument("tokens"),
            secondary=(Label(objective.encoder.word.span, "masked on this grid"),),
            helps=("write `tokens: all`",),
        )
    elif target.distribution.word.hidden_only() and shown.mask is not None and shown.mask.word.varies():
        yield from _varying(target, shown.mask)
    yield from _prefix(objective, target)
    if matches or predictor.word.pools:  # one vector for a dense target is reported in checks/shapes.py
        return
    if not predictor.word.queries and dropped:
        assert masking is not None
        helps = ("use `predictor decoder`",)
        if objective.mix is None:
            helps += ("or keep them as mask tokens: `tokens: mask` in the mask",)
        yield error(
            "M3I0214",
            f"`{predictor.word.name}` cannot predict tokens that the encoder did not see",
            predictor.span,
            secondary=(Label(masking.span, "tokens are left out here"),),
            helps=helps,
        )
    elif not same_view and not predictor.word.relative():
        helps = (f"or predict `{shown.view.name}`",)
        known = {parameter.name for parameter in predictor.word.parameters()}
        name = predictor.word.name if "position" in known else "decoder"
        yield error(
            "M3I0214",
            f"`{predictor.word.name}` cannot place the tokens of another view",
            predictor.argument("position"),
            secondary=(Label(reference.span, f"`{view.name}` is not the input view"), Label(shown.span, "the input")),
            helps=(f"use `predictor {name}(position: relative)`", *helps),
        )
    elif same_view and not predictor.word.queries and input_grid != wanted_grid:
        secondary = [Label(objective.encoder.word.span, f"predicts {input_grid} tokens")]
        if target.encoder is not None:
            secondary.append(Label(target.encoder.word.span, f"yields {wanted_grid} tokens"))
        yield error(
            "M3I0214",
            f"`{predictor.word.name}` predicts a {input_grid} grid, but the target's grid is {wanted_grid}",
            predictor.span,
            secondary=secondary,
            helps=("use `predictor decoder(position: relative)`, which asks for positions of the target",),
        )
