"""Elaboration of an `objective`: its input, its input representation and its targets.

Defaults that `resolve` prints: mask `blocks(60%)` (SiameseIM), predictor by the form of the target (Figure 1 of the paper:
Transformer for dense targets, GAP + Linear for categories and texts; `mlp` for global features), `weighting fixed`,
`symmetric false`, `weight 1` (our choice).
"""

from __future__ import annotations

from typing import cast

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Unbound
from m3i_dsl.semantics.program import (
    EncoderDeclaration,
    InputReference,
    Objective,
    Placed,
    Target,
    TargetReference,
    View,
    Which,
)
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.settings import by_keyword, single
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Distribution, Mask, Predictor, Regularization, Representation, Weighting
from m3i_dsl.vocabulary.masks.blocks import BlocksMask
from m3i_dsl.vocabulary.mixes.mix import PatchMix
from m3i_dsl.vocabulary.predictors.decoder import Decoder
from m3i_dsl.vocabulary.predictors.linear import Linear
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from m3i_dsl.vocabulary.values import Quantity
from m3i_dsl.vocabulary.weightings.fixed import Fixed
from m3i_dsl.vocabulary.word import Bounds, ValueType

_OBJECTIVE = ("input", "represent", "weighting", "symmetric")
_TARGET = ("data", "representation", "predictor", "regularization", "distribution", "weight")
_REQUIRED = ("data", "representation", "regularization", "distribution")
_WHICH: tuple[Which, Which] = ("first", "second")
_PLAIN = ValueType("number", Quantity(""))
_BOOLEAN = ValueType("boolean")


def elaborate_objective(block: ast.Objective, scope: Scope) -> Objective:
    binder = scope.binder
    settings = [item for item in block.items if isinstance(item, ast.Setting)]
    where = f"objective `{block.name.text}`"
    found = by_keyword(settings, _OBJECTIVE, ("input", "represent"), where, block.name.span, binder.diagnostics)
    if "input" not in found or "represent" not in found:
        raise Unbound
    inputs, mix = _input(single(found["input"], binder.diagnostics), scope)
    represent, encoder = _represent(single(found["represent"], binder.diagnostics), scope)
    weighting: Placed[Weighting] = Placed(Fixed(), block.name.span, {})
    if "weighting" in found:
        weighting = binder.word(single(found["weighting"], binder.diagnostics), Weighting, "weighting")
    symmetric = False
    if "symmetric" in found:
        symmetric = binder.value(single(found["symmetric"], binder.diagnostics), _BOOLEAN, "`symmetric`")
    targets: dict[str, Target | None] = {}
    names: dict[str, ast.Name] = {}
    for item in block.items:
        if not isinstance(item, ast.Target):
            continue
        name = item.name
        if name.text in targets:
            first = Label(names[name.text].span, "first defined here")
            scope.report(error("M3I0121", f"target `{name.text}` is defined twice", name.span, secondary=(first,)))
            continue
        names[name.text] = name
        try:
            targets[name.text] = _target(item, inputs, mix is not None, scope)
        except Unbound:
            targets[name.text] = None
    if not targets:
        helps = ("add `target NAME { ... }`",)
        scope.fail(error("M3I0126", f"{where} has no target", block.name.span, helps=helps))
    if any(target is None for target in targets.values()):
        raise Unbound
    return Objective(
        name=block.name.text,
        inputs=inputs,
        mix=mix,
        represent=represent,
        encoder=encoder,
        targets=tuple(target for target in targets.values() if target is not None),
        weighting=weighting,
        symmetric=symmetric,
        span=block.name.span,
        settings={keyword: setting.values[0].span for keyword, setting in found.items()},
    )


def _input(value: ast.Value, scope: Scope) -> tuple[tuple[InputReference, ...], Placed[PatchMix] | None]:
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", "an input is a view or `mix(...)`", value.span))
    if value.name != PatchMix.name:
        reference = _input_reference(value, scope, in_mix=False)
        return (reference,), None
    arguments = value.arguments or ()
    positional = [argument for argument in arguments if argument.name is None]
    named = tuple(argument for argument in arguments if argument.name is not None)
    inputs = tuple(_input_reference(argument.value, scope, in_mix=True) for argument in positional)
    if len(inputs) != 2 or {reference.which for reference in inputs} != set(_WHICH):
        scope.fail(
            error(
                "M3I0314",
                "`mix` takes two inputs, one `of first` and one `of second`",
                value.name_span,
                helps=("write `mix(masked VIEW of first, masked VIEW of second, by: blocks(50%))`",),
            )
        )
    mix = scope.binder.call(PatchMix, named, value.span, value.name_span)
    ordered = tuple(sorted(inputs, key=lambda reference: reference.which == "second"))
    return ordered, mix


def _input_reference(value: ast.Value, scope: Scope, *, in_mix: bool) -> InputReference:
    """`[masked] VIEW [of first|second] [by MASK]`."""
    if not isinstance(value, ast.Term) or value.arguments is not None or value.operand is not None:
        scope.fail(error("M3I0201", "expected a view, `VIEW` or `masked VIEW`", value.span))
    masked = len(value.words) > 1 and value.words[0].text == "masked"
    words = value.words[1:] if masked else value.words
    if len(words) != 1:
        helps = help_for(words[0].text, ("masked",))
        scope.fail(error("M3I0201", "expected a view, `VIEW` or `masked VIEW`", value.name_span, helps=helps))
    view = scope.find("view", words[0], View)
    which = _which(value, scope, in_mix=in_mix)
    mask: Placed[Mask] | None = None
    if value.by is not None:
        if not masked:
            helps = (f"write `masked {words[0].text} by ...`",)
            scope.fail(error("M3I0201", "`by` says how a masked view is masked", value.by.span, helps=helps))
        if in_mix:
            message = "inside `mix` the mix itself masks: `by` is its own argument"
            scope.fail(error("M3I0201", message, value.by.span, helps=("write `mix(..., by: MASK)`",)))
        mask = scope.binder.word(value.by, Mask, "mask")
    elif masked and not in_mix:
        mask = Placed(BlocksMask(0.6), value.span, {})
    return InputReference(view, which, masked, mask, value.span)


def _which(value: ast.Term, scope: Scope, *, in_mix: bool) -> Which | None:
    if value.of is None:
        if in_mix:
            helps = (f"write `{value.name} of first` or `{value.name} of second`",)
            scope.fail(error("M3I0314", "which image of the mix is meant?", value.span, helps=helps))
        return None
    if not in_mix:
        message = f"`of {value.of.name.text}` names an image of a mix, but the input is not a mix"
        scope.fail(error("M3I0314", message, value.of.span, helps=("leave it out",)))
    return cast(Which, scope.expect(value.of.name, _WHICH, "image of a mix"))


def _represent(value: ast.Value, scope: Scope) -> tuple[Placed[Representation], EncoderDeclaration]:
    placed, encoder = _representation(value, scope, normalize="none")
    if encoder is None or placed.word.encoder != "image":
        message = "the input representation is a feature of an image encoder"
        scope.fail(error("M3I0201", message, value.span, helps=("write `represent dense feature of ENCODER`",)))
    return placed, encoder


def _representation(
    value: ast.Value, scope: Scope, **role_defaults: str
) -> tuple[Placed[Representation], EncoderDeclaration | None]:
    """`dense feature(...) of ENCODER`."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", "expected a representation such as `dense feature of ENCODER`", value.span))
    bare = ast.Term(value.words, value.arguments, value.operand, None, value.by, value.span)
    placed = scope.binder.word(bare, Representation, "representation", **role_defaults)
    wanted = placed.word.encoder
    if wanted is None:
        if value.of is not None:
            message = f"`{placed.word.name}` is not a representation of an encoder"
            scope.fail(error("M3I0201", message, value.of.span, helps=("leave it out",)))
        return placed, None
    if value.of is None:
        encoders = scope.all("encoder", EncoderDeclaration).values()
        legal = [encoder.name for encoder in encoders if encoder.word.word.modality == wanted]
        helps = (f"write `{placed.word.name} of {legal[0]}`",) if legal else ()
        scope.fail(error("M3I0126", f"`{placed.word.name}` of which encoder?", value.span, helps=helps))
    encoder = scope.find("encoder", value.of.name, EncoderDeclaration)
    if encoder.word.word.modality != wanted:
        scope.fail(
            error(
                "M3I0210",
                f"`{placed.word.name}` is of {_article(wanted)} encoder, but `{encoder.name}` encodes "
                f"{encoder.word.word.modality}s",
                value.of.name.span,
                secondary=(Label(encoder.span, "defined here"),),
            )
        )
    return placed, encoder


def _article(modality: str) -> str:
    return f"{'an' if modality == 'image' else 'a'} {modality}"


def _target(block: ast.Target, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope) -> Target:
    binder = scope.binder
    where = f"target `{block.name.text}`"
    found = by_keyword(block.settings, _TARGET, _REQUIRED, where, block.name.span, binder.diagnostics)
    if any(keyword not in found for keyword in _REQUIRED):
        raise Unbound
    representation, encoder = _representation(single(found["representation"], binder.diagnostics), scope)
    data = tuple(_target_reference(value, inputs, mixed, scope) for value in found["data"].values)
    same_view = all(reference.view in (None, inputs[0].view) for reference in data)
    if "predictor" in found:
        predictor = binder.word(single(found["predictor"], binder.diagnostics), Predictor, "predictor")
    else:
        predictor = Placed(_default_predictor(representation.word, same_view), block.name.span, {})
    value = single(found["regularization"], binder.diagnostics)
    terms = value.terms if isinstance(value, ast.Sum) else (value,)
    regularizations = tuple(binder.word(term, Regularization, "regularization") for term in terms)
    distribution = binder.word(single(found["distribution"], binder.diagnostics), Distribution, "distribution")
    weight, weight_span = 1.0, block.name.span
    if "weight" in found:
        value = single(found["weight"], binder.diagnostics)
        weight, weight_span = binder.value(value, _PLAIN, "`weight`", Bounds(above=0)), value.span
    return Target(
        name=block.name.text,
        data=data,
        representation=representation,
        encoder=encoder,
        predictor=predictor,
        regularizations=regularizations,
        distribution=distribution,
        weight=weight,
        weight_span=weight_span,
        span=block.name.span,
        settings={keyword: setting.values[0].span for keyword, setting in found.items()},
    )


def _default_predictor(representation: Representation, same_view: bool) -> Predictor:
    match representation.form:
        case "dense":
            return Decoder(position="absolute" if same_view else "relative")
        case "global":
            return Mlp()
        case _:
            return Linear()


def _target_reference(
    value: ast.Value, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope
) -> TargetReference:
    """`VIEW [of first|second]` or `FIELD [of first|second]`; a field is one of the data that the input shows."""
    if not isinstance(value, ast.Term) or value.arguments is not None or value.operand or value.by:
        scope.fail(error("M3I0201", "target data is a view or a field", value.span))
    if len(value.words) != 1:
        message = "target data is a view or a field; it is never masked"
        scope.fail(error("M3I0201", message, value.name_span))
    which = _which(value, scope, in_mix=mixed)
    name = value.words[0]
    data = next((i.view.data for i in inputs if i.which == which), inputs[0].view.data)
    if scope.has("view", name.text):
        view = scope.find("view", name, View)
        if view.data is not data:
            message = f"`{view.name}` is a view of `{view.data.name}`, but the input is of `{data.name}`"
            scope.fail(error("M3I0211", message, name.span))
        return TargetReference(view, view.field, "image", which, value.span)
    fields = data.fields
    if name.text not in fields:
        legal = (*scope.names("view"), *(field for field, modality in fields.items() if modality != "image"))
        message = f"data `{data.name}` has no field `{name.text}`, and no view is called so"
        secondary = (Label(data.source.span, "the source"),)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=help_for(name.text, legal)))
    modality = fields[name.text]
    if modality == "image":
        views = scope.names("view")
        helps = (f"name a view of it: {', '.join(f'`{view}`' for view in views)}",) if views else ()
        scope.fail(error("M3I0210", "an image is predicted from a view of it", name.span, helps=helps))
    return TargetReference(None, name.text, modality, which, value.span)
