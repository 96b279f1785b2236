"""Elaboration of `data`, `view` and `encoder` declarations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Attempts
from m3i_dsl.semantics.elaborate_mixture import elaborate_mixture, mixture_term
from m3i_dsl.semantics.literals import WHOLE
from m3i_dsl.semantics.program import AnyData, Data, EncoderDeclaration, ListPlace, Placed, View, ViewList
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import fix_for, help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import (
    Encoder,
    EncoderCopy,
    Grid,
    ImageEncoder,
    PredictorCall,
    Source,
    Transform,
    WordError,
)
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.transforms.pipeline import completed, late_step
from m3i_dsl.vocabulary.word import Bounds

MOST_VIEWS = 256
"""Of a list: each is a crop of every sample, and no published method takes more than 200."""

MOST_STEPS = 64
"""Of a view."""


START = "start"
"""The argument that every encoder takes beside its own."""


def elaborate_data(declaration: ast.Data, scope: Scope) -> AnyData:
    """A source bound to its word, or a mixture of sources."""
    mixed = mixture_term(declaration, scope)
    if mixed is not None:
        return elaborate_mixture(declaration, mixed, scope)
    source = scope.binder.word(declaration.value, Source, "source")
    try:
        source.word.check()
    except WordError as fault:
        scope.fail_word(source, fault)
    return Data(declaration.name.text, source, declaration.span)


def elaborate_view(declaration: ast.View, scope: Scope) -> View | ViewList:
    """A view ends in `normalize`; one that does not say so gets ImageNet's (timm's default), which `resolve` prints."""
    attempts = Attempts()
    count = attempts(lambda: _count(declaration, scope))
    data = attempts(lambda: _view_data(declaration, scope))
    value = declaration.value
    steps = list(itertools.islice(_steps(value, scope), MOST_STEPS + 1))
    if len(steps) > MOST_STEPS:
        message = f"view `{declaration.name.text}` has more than {MOST_STEPS} steps"
        scope.fail(error("M3I0140", message, value.span, helps=("leave out what is done again and again",)))
    transforms = [attempts(lambda t=term: scope.binder.word(t, Transform, "transform")) for term in steps]
    attempts.finish()
    size = _size(declaration, transforms, scope)
    whole = completed([transform.word for transform in transforms])
    transforms += [Placed(word, value.span, {}) for word in whole[len(transforms) :]]
    name = declaration.name.text
    view = View(name, data, declaration.field.text, tuple(transforms), size, declaration.span)
    if declaration.count is None:
        return view
    views = (replace(view, name=f"{name}[{index}]", place=ListPlace(name, index, count)) for index in range(count))
    return ViewList(name, tuple(views), declaration.span, declaration.count.span)


def _count(declaration: ast.View, scope: Scope) -> int:
    """How many views a list has: two or more."""
    if declaration.count is None:
        return 1
    name = declaration.name.text
    count = scope.binder.value(
        declaration.count, WHOLE, f"the number of views in `{name}`", Bounds(minimum=1, maximum=MOST_VIEWS)
    )
    if count == 1:
        helps = (f"write `view {name} of ...`, or a larger number",)
        scope.fail(error("M3I0203", "a list of one view is a view", declaration.count.span, helps=helps))
    return int(count)


def _view_data(declaration: ast.View, scope: Scope) -> AnyData:
    data = scope.find("data", declaration.data, AnyData)
    fields, field = data.fields, declaration.field
    images = [name for name, modality in fields.items() if modality.views]
    if field.text not in fields:
        message = f"data `{data.name}` has no field `{field.text}`"
        secondary = (Label(data.place, f"has {', '.join(f'`{name}`' for name in fields)}"),)
        helps, fix = help_for(field.text, images), fix_for(field.text, field.span, images)
        scope.fail(error("M3I0211", message, field.span, secondary=secondary, helps=helps, fix=fix))
    if not fields[field.text].views:
        message = f"a view is of images, but `{data.name}.{field.text}` is {fields[field.text].name}"
        helps = tuple(f"write `{data.name}.{name}`" for name in images[:1])
        scope.fail(error("M3I0210", message, field.span, helps=helps))
    if not data.is_whole(field.text):
        without = [source for source in data.sources if field.text not in source.fields]
        message = f"a view is of every sample, but some of `{data.name}` have no `{field.text}`"
        secondary = tuple(Label(source.place, f"`{source.name}` has none") for source in without)
        helps = ("name an image that every source has", "or leave the sources without it out of the mixture")
        scope.fail(error("M3I0211", message, field.span, secondary=secondary, helps=helps))
    return data


def _size(declaration: ast.View, transforms: list[Placed[Transform]], scope: Scope) -> tuple[int, int]:
    """The (height, width) of a view, which every step but the first few leaves as it is."""
    size: tuple[int, int] | None = None
    for transform in transforms:
        try:
            size = transform.word.output_size(size)
        except WordError as fault:
            scope.fail_word(transform, fault)
    words = [transform.word for transform in transforms]
    try:
        completed(words)
    except WordError as fault:
        late = late_step(words)
        assert late is not None, "what `completed` refuses"
        scope.fail_word(transforms[late], fault)
    if size is None:
        message = f"view `{declaration.name.text}` has no fixed size"
        helps = ("add `crop(SIZE)`, `resize(SIZE)`, or `center crop(SIZE)`",)
        scope.fail(error("M3I0212", message, declaration.value.span, helps=helps))
    return size


def _steps(value: ast.Value, scope: Scope, seen: tuple[str, ...] = ()) -> Iterator[ast.Value]:
    """The terms of a pipeline; a `param` that holds several stands for its steps."""
    if isinstance(value, ast.Pipeline):
        for term in value.terms:
            yield from _steps(term, scope, seen)
        return
    if isinstance(value, ast.Term) and value.name not in (*seen, *words("transform")):
        inner = scope.binder.parameters.get(value.name)
        if inner is not None and _leads_to_steps(value, scope) and scope.binder.definition(value) is not None:
            scope.binder.used.add(value.name)
            yield from _steps(inner, scope, (*seen, value.name))
            return
    yield value


def _leads_to_steps(value: ast.Value, scope: Scope) -> bool:
    """Whether a `param`, or those that it names in a row, holds a pipeline."""
    seen: set[str] = set()
    while isinstance(value, ast.Term) and value.name in scope.binder.parameters and value.name not in seen:
        seen.add(value.name)
        value = scope.binder.parameters[value.name]
    return isinstance(value, ast.Pipeline)


def elaborate_encoder(declaration: ast.Encoder, scope: Scope) -> EncoderDeclaration:
    """An encoder, or the average or frozen copy of one."""
    value = declaration.value
    if value.name in words("encoder"):
        class_ = scope.binder.class_of(value, "encoder")
        if issubclass(class_, EncoderCopy):
            return _copy(declaration, class_, scope)
    start, value = _start(value, scope)
    placed = scope.binder.word(value, Encoder, "encoder")
    if start is not None:
        placed = replace(placed, arguments={**placed.arguments, "start": start[1]})
        _check_start(start[0], placed, scope)
    word = placed.word
    try:
        if isinstance(word, EncoderCopy):
            # A `param` may hold `ema` or `frozen`, but those are said of an encoder, which a `param` cannot name.
            raise WordError(f"`{word.name}` is said of an encoder", help=f"write `{word.name} of ENCODER` here")
        word.check()
        image = word.as_image()
        if image is not None:
            _check_projector(image)
    except WordError as fault:
        scope.fail_word(placed, fault)
    starts = None if start is None else start[0].name
    return EncoderDeclaration(declaration.name.text, placed, None, None, False, None, declaration.span, starts)


def _start(value: ast.Term, scope: Scope) -> tuple[tuple[EncoderDeclaration, Span] | None, ast.Term]:
    """`start: ENCODER` among the arguments of any encoder, with its place, and the term without it."""
    found = [
        argument for argument in value.arguments or () if argument.name is not None and argument.name.text == START
    ]
    if not found:
        return None, value
    kept = tuple(argument for argument in value.arguments or () if argument not in found)
    given = found[0].value
    for second in found[1:]:
        secondary = (Label(found[0].span, "first given here"),)
        helps = ("leave one out",)
        scope.report(error("M3I0125", "`start` is given twice", second.span, secondary=secondary, helps=helps))
    if not isinstance(given, ast.Term) or len(given.words) != 1:
        scope.fail(error("M3I0201", "`start` names an encoder of the recipe", given.span))
    scope.binder.no_extras(given, "`start`")
    encoder = scope.find("encoder", given.words[0], EncoderDeclaration)
    return (encoder, given.span), replace(value, arguments=kept)


def _check_start(other: EncoderDeclaration, placed: Placed[Encoder], scope: Scope) -> None:
    """An encoder starts from one thing, and from what a stage trains."""
    if placed.word.starts_from_weights():
        helps = ("leave `start` out, or the weights",)
        scope.fail(error("M3I0330", "it cannot start from two sets of weights", placed.argument(START), helps=helps))
    if not other.trained:
        how = "an average" if other.momentum is not None else "frozen"
        message = f"`{other.name}` is {how}, and `start` takes an encoder that a stage trains"
        helps = (f"write `start: {other.of}`",)
        scope.fail(error("M3I0330", message, placed.argument(START), helps=helps))


def _check_projector(word: ImageEncoder) -> None:
    """A projector maps each token, or the pooled vector, to another. Raises WordError."""
    projector = word.projector
    if projector is None:
        return
    if projector.queries or projector.pools:
        raise WordError(
            f"`{projector.name}` is no projector", argument="projector", help="use `mlp`, `linear` or `blocks`"
        )
    try:
        projector.check(PredictorCall(word.shape().width, word.projected_width(), Grid(1, 1), None))
    except WordError as fault:
        raise WordError(f"in the projector, {fault.message}", argument="projector", help=fault.help) from fault


def _copy(declaration: ast.Encoder, copying: type[EncoderCopy], scope: Scope) -> EncoderDeclaration:
    """`ema of NAME(...)` or `frozen of NAME(...)`."""
    value = declaration.value
    kind = value.name
    if value.of is None:
        message = f"`{kind}` of which encoder?"
        scope.fail(error("M3I0126", message, value.name_span, helps=(f"write `{kind} of ENCODER`",)))
    scope.binder.no_extras(value, f"`{kind}`", of=False)
    scope.no_field(value.of)
    others = [name for name in scope.names("encoder") if name != declaration.name.text]
    inner = scope.find("encoder", value.of.name, EncoderDeclaration, others)
    if not inner.trained:
        _refuse_copy(kind, value.of.name, inner, scope)
    arguments = (*(value.arguments or ()), *(value.of.arguments or ()))
    written = scope.binder.call(copying, arguments, value.span, value.name_span)
    placed = Placed(inner.word.word, value.span, written.arguments, written.definitions)
    momentum = written.word.follows()
    frozen, weights, over = momentum is None, written.word.starts_from(), written.word.follows_over()
    name, span = declaration.name.text, declaration.span
    return EncoderDeclaration(name, placed, inner.name, momentum, frozen, weights, span, over=over)


def _refuse_copy(kind: str, name: ast.Name, inner: EncoderDeclaration, scope: Scope) -> None:
    """An average or a frozen copy is made of a trained encoder: of a copy it would be the copy, or lag behind it."""
    how = "an average" if inner.momentum is not None else "frozen"
    secondary = (Label(inner.word.span, f"`{inner.name}` is {how}"),)
    helps = (f"write `{kind} of {inner.of}`",)
    message = f"`{kind} of {inner.name}` copies a copy"
    scope.fail(error("M3I0320", message, name.span, secondary=secondary, helps=helps))
