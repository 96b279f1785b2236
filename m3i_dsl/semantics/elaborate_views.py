"""Elaboration of `data`, `view` and `encoder` declarations."""

from __future__ import annotations

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Placed, View
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.encoders.ema import Ema
from m3i_dsl.vocabulary.encoders.frozen import Frozen
from m3i_dsl.vocabulary.kinds import Encoder, ImageEncoder, Source, Transform, WordError
from m3i_dsl.vocabulary.transforms.normalize import Normalize


def elaborate_data(declaration: ast.Data, scope: Scope) -> Data:
    source = scope.binder.word(declaration.value, Source, "source")
    return Data(declaration.name.text, source, declaration.span)


def elaborate_view(declaration: ast.View, scope: Scope) -> View:
    """A view ends in `normalize`; one that does not say so gets ImageNet's (timm's default), which `resolve` prints."""
    data = scope.find("data", declaration.data, Data)
    fields = data.fields
    field = declaration.field
    if field.text not in fields:
        helps = help_for(field.text, fields)
        scope.fail(
            error(
                "M3I0211",
                f"data `{data.name}` has no field `{field.text}`",
                field.span,
                secondary=(Label(data.source.span, "the source"),),
                helps=helps,
            )
        )
    if fields[field.text] != "image":
        message = f"a view is of images, but `{data.name}.{field.text}` is {fields[field.text]}"
        scope.fail(error("M3I0210", message, field.span, helps=help_for("image", _of_modality(fields, "image"))))
    value = declaration.value
    transforms = [scope.binder.word(term, Transform, "transform") for term in _steps(value, scope)]
    size: tuple[int, int] | None = None
    for transform in transforms:
        try:
            size = transform.word.output_size(size)
        except WordError as fault:
            scope.fail_word(transform, fault)
    if size is None:
        helps = ("add `crop(SIZE)` or `resize(SIZE)`",)
        scope.fail(error("M3I0212", f"view `{declaration.name.text}` has no fixed size", value.span, helps=helps))
    if not any(isinstance(transform.word, Normalize) for transform in transforms):
        transforms.append(Placed(Normalize(), value.span, {}))
    return View(declaration.name.text, data, field.text, tuple(transforms), size, declaration.span)


def _steps(value: ast.Value, scope: Scope) -> list[ast.Value]:
    """The terms of a pipeline; a `param` that holds one stands for its steps."""
    if isinstance(value, ast.Pipeline):
        return [step for term in value.terms for step in _steps(term, scope)]
    inner = scope.binder.parameter(value)
    return [value] if inner is None else _steps(inner, scope)


def _of_modality(fields: dict[str, str], modality: str) -> list[str]:
    return [name for name, found in fields.items() if found == modality]


def elaborate_encoder(declaration: ast.Encoder, scope: Scope) -> EncoderDeclaration:
    value = declaration.value
    if value.name in (Ema.name, Frozen.name):
        return _wrapped(declaration, scope)
    placed = scope.binder.word(value, Encoder, "encoder")
    if isinstance(placed.word, ImageEncoder):
        try:
            placed.word.shape()
        except WordError as fault:
            scope.fail_word(placed, fault)
    return EncoderDeclaration(declaration.name.text, placed, None, None, False, None, declaration.span)


def _wrapped(declaration: ast.Encoder, scope: Scope) -> EncoderDeclaration:
    """`ema of NAME(...)` or `frozen of NAME(...)`."""
    value = declaration.value
    kind = value.name
    if value.of is None or value.of.field is not None or value.operand is not None or value.by is not None:
        message = f"`{kind}` is said of an encoder"
        scope.fail(error("M3I0201", message, value.span, helps=(f"write `{kind} of ENCODER(...)`",)))
    inner = scope.find("encoder", value.of.name, EncoderDeclaration)
    arguments = (*(value.arguments or ()), *(value.of.arguments or ()))
    name = declaration.name.text
    if kind == Ema.name:
        if not inner.trained:
            message = f"`{inner.name}` does not move, so its average is itself"
            secondary = (Label(inner.span, "never trained"),)
            scope.fail(error("M3I0307", message, value.of.name.span, secondary=secondary))
        ema = scope.binder.call(Ema, arguments, value.span, value.name_span)
        placed = Placed(inner.word.word, value.span, ema.arguments)
        return EncoderDeclaration(name, placed, inner.name, ema.word.momentum, False, None, declaration.span)
    frozen = scope.binder.call(Frozen, arguments, value.span, value.name_span)
    placed = Placed(inner.word.word, value.span, frozen.arguments)
    return EncoderDeclaration(name, placed, inner.name, None, True, frozen.word.weights, declaration.span)
