"""What `input` and `data` name: views, lists of views and fields, and which image of a mix.

Takes: the value of a setting. Gives: references to views and fields of the recipe. Guarantees: every part of the
value is read or reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Attempts, Unbound, index_span
from m3i_dsl.semantics.literals import WHOLE
from m3i_dsl.semantics.program import (
    AnyData,
    InputReference,
    Pairs,
    Placed,
    TargetReference,
    TextField,
    View,
    ViewList,
    Which,
)
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import fix_for, help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Blend, Mask, Mix, TextMask
from m3i_dsl.vocabulary.masks.blocks import BlocksMask
from m3i_dsl.vocabulary.masks.tokens import TokensMask
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.word import Bounds, Word

_WHICH: tuple[Which, Which] = ("first", "second")
_EXPECTED = "an input is a view or a text, whole or `masked`, `mixed VIEW by ...`, or `mix(...)`"
_BEFORE = ("masked", "mixed")
"""What may stand before a view."""


# --- views ------------------------------------------------------------------------------------------------------------


def views_named(term: ast.Term, name: ast.Name, scope: Scope) -> tuple[View, ...]:
    """The view called `name`, all views of a list, or the one of a list whose number `term` gives."""
    found = scope.find("view", name, object)
    if isinstance(found, View):
        if term.index is not None:
            message = f"`{name.text}` is one view, not a list"
            scope.fail(error("M3I0201", message, index_span(term), helps=(f"write `{name.text}`",)))
        return (found,)
    assert isinstance(found, ViewList)
    if term.index is None:
        return found.views
    number = int(scope.binder.value(term.index, WHOLE, f"the number of a view of `{name.text}`", Bounds(minimum=0)))
    if number >= len(found.views):
        secondary = (Label(found.count_span, "the number of views"),)
        message = f"`{name.text}` has no view {number}: it has {len(found.views)} views, counted from 0"
        helps = (f"the last is `{name.text}[{len(found.views) - 1}]`",)
        scope.fail(error("M3I0203", message, term.index.span, secondary=secondary, helps=helps))
    return (found.views[number],)


def one_view(term: ast.Term, name: ast.Name, scope: Scope, taker: str) -> View:
    """The one view where a list cannot stand; `taker` says what takes it."""
    view, *others = views_named(term, name, scope)
    if others:
        message = f"`{name.text}` is a list of {len(others) + 1} views, and {taker} takes one"
        scope.fail(error("M3I0201", message, name.span, helps=(f"write `{name.text}[0]`",)))
    return view


# --- input ------------------------------------------------------------------------------------------------------------


def inputs_of(setting: ast.Setting, scope: Scope) -> tuple[tuple[InputReference, ...], Placed[Mix] | None]:
    """The one input, the first and the second of a mix, or several views that are encoded each by itself."""
    value, *others = setting.values
    if not others and isinstance(value, ast.Term) and _names_mix(value, scope):
        return _mixed_inputs(value, scope)
    attempts = Attempts()
    references = [attempts(lambda v=value: _input_references(v, scope)) for value in setting.values]
    attempts.finish()
    inputs = tuple(reference for some in references for reference in some)
    _check_several(inputs, scope)
    return inputs, None


def _check_several(inputs: Sequence[InputReference], scope: Scope) -> None:
    """Several inputs are views of the same data, each named once."""
    text = next((reference for reference in inputs if isinstance(reference.view, TextField)), None)
    if len(inputs) > 1 and text is not None:
        message = "a text is the whole input, and stands alone"
        helps = ("write an objective for each: their losses are added",)
        scope.fail(error("M3I0321", message, text.span, helps=helps))
    for index, reference in enumerate(inputs[1:], start=1):
        if any(earlier.view is reference.view for earlier in inputs[:index]):
            first = next(Label(i.span, "first named here") for i in inputs if i.view is reference.view)
            message = f"`{reference.view.name}` is named twice"
            helps = ("leave one out",)
            scope.fail(error("M3I0125", message, reference.span, secondary=(first,), helps=helps))
        if reference.view.data is not inputs[0].view.data:
            message = (
                f"`{reference.view.name}` is a view of `{reference.view.data.name}`, but `{inputs[0].view.name}` is of "
                f"`{inputs[0].view.data.name}`"
            )
            secondary = (Label(inputs[0].span, "the first input"),)
            helps = ("several inputs are of the same image",)
            scope.fail(error("M3I0211", message, reference.span, secondary=secondary, helps=helps))


def _names_mix(value: ast.Term, scope: Scope) -> bool:
    """Whether it is a mix, or one without arguments; a view may have its name."""
    return value.name in words("mix") and (value.arguments is not None or not scope.has("view", value.name))


def _mixed_inputs(value: ast.Term, scope: Scope) -> tuple[tuple[InputReference, ...], Placed[Mix]]:
    scope.binder.no_extras(value, f"`{value.name}`")
    found = scope.binder.class_of(value, "mix")
    if issubclass(found, Blend):
        helps = (f"write `mixed VIEW by {value.name}`",)
        scope.fail(error("M3I0201", f"`{value.name}` says how a mixed view is mixed", value.name_span, helps=helps))
    word = cast("type[Mix]", found)  # the registry is keyed by kind
    arguments = value.arguments or ()
    positional = [argument for argument in arguments if argument.name is None]
    named = tuple(argument for argument in arguments if argument.name is not None)
    attempts = Attempts()
    inputs = [attempts(lambda a=argument: _input_reference(a.value, scope, in_mix=True)) for argument in positional]
    mix = attempts(lambda: scope.binder.call(word, named, value.span, value.name_span))
    required = "".join(f", {parameter.name}: ..." for parameter in word.parameters() if parameter.required)
    helps = (f"write `{value.name}(masked VIEW of first, masked VIEW of second{required})`",)
    count = len(inputs)
    if count != len(_WHICH):
        message = f"`{value.name}` takes two inputs, found {count}"
        place = positional[2].span if count > len(_WHICH) else value.name_span
        scope.fail(error("M3I0314", message, place, helps=helps))
    attempts.finish()
    one, other = inputs
    if one.which == other.which:
        message = f"both inputs of the mix are of the {one.which} image"
        first = Label(one.span, "the other one")
        scope.fail(error("M3I0314", message, other.span, secondary=(first,), helps=helps))
    return (one, other) if one.which == "first" else (other, one), mix


def _input_reference(value: ast.Value, scope: Scope, *, in_mix: bool) -> InputReference:
    """`[masked] VIEW [of first|second] [by MASK]`, of one view."""
    one, *others = _input_references(value, scope, in_mix=in_mix)
    assert not others, "a mix is of one view and another"
    return one


def _input_references(value: ast.Value, scope: Scope, *, in_mix: bool = False) -> tuple[InputReference, ...]:
    """`[masked] VIEW [of first|second] [by MASK]`: one, or one for each view of a list."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", _EXPECTED, value.span))
    before = value.words[0].text if len(value.words) > 1 and value.words[0].text in _BEFORE else None
    masked, name = before == "masked", value.words[0 if before is None else 1]
    if len(value.words) > (1 if before is None else 2):
        helps = help_for(name.text, _BEFORE)
        fix = fix_for(name.text, name.span, _BEFORE)
        scope.fail(error("M3I0201", _EXPECTED, value.name_span, helps=helps, fix=fix))
    if not in_mix and _names_mix(value, scope):
        message = "a mix is the whole input, and stands alone"
        scope.fail(error("M3I0321", message, value.name_span, helps=("leave the other inputs out",)))
    if value.arguments is not None and before is None and not scope.has("view", name.text):
        scope.binder.word(value, Mix, "mix")  # only a mix takes arguments, and there is none of this name
    scope.binder.no_extras(value, f"`{value.name}`", arguments=True, of=False, by=False, index=False)
    attempts = Attempts()
    if not in_mix and not scope.has("view", name.text) and _texts_called(name.text, scope):
        return (_text_input(value, name, masked, scope),)
    views = attempts(lambda: (one_view(value, name, scope, "a mix"),) if in_mix else views_named(value, name, scope))
    which: Which | None = attempts(lambda: _which(value, scope, in_mix=in_mix))
    mask, blend = None, None
    if before == "mixed":
        blend = attempts(lambda: _blend(value, name, scope, in_mix=in_mix))
    else:
        mask = attempts(lambda: _mask(value, name, masked, scope, in_mix=in_mix))
    attempts.finish()
    return tuple(InputReference(view, which, masked, mask, value.span, blend) for view in views)


def _blend(value: ast.Term, view: ast.Name, scope: Scope, *, in_mix: bool) -> Placed[Blend]:
    helps = (f"write `mixed {view.text} by blend`",)
    if in_mix or value.by is None:
        message = "a mix has no blend inside" if in_mix else f"`mixed {view.text}` by what?"
        scope.fail(error("M3I0201", message, value.name_span, helps=() if in_mix else helps))
    found = scope.binder.word(value.by, Word, "mix")
    if not isinstance(found.word, Blend):
        scope.fail(error("M3I0201", f"`{found.word.name}` mixes no labels", value.by.span, helps=helps))
    return cast("Placed[Blend]", found)


def _texts_called(name: str, scope: Scope) -> list[AnyData]:
    """The data with a field of texts of this name, but for the sources of a mixture that has it."""
    known = [
        data for data in scope.all("data", AnyData).values() if name in data.fields and data.fields[name].tokenized
    ]
    parts = {id(source) for data in known for source in data.sources if source is not data}
    return [data for data in known if id(data) not in parts]


def _text_input(value: ast.Term, name: ast.Name, masked: bool, scope: Scope) -> InputReference:
    """`[masked] TEXT [of DATA] [by MASK]`."""
    found = _texts_called(name.text, scope)
    if value.of is not None:
        scope.no_field(value.of, arguments=True)
        data = scope.find("data", value.of.name, AnyData, [data.name for data in found])
        if name.text not in data.fields or not data.fields[name.text].tokenized:
            message = f"data `{data.name}` has no texts called `{name.text}`"
            secondary = (Label(data.place, f"has {', '.join(f'`{field}`' for field in data.fields)}"),)
            helps = tuple(f"write `of {other.name}`" for other in found[:1])
            scope.fail(error("M3I0211", message, value.of.name.span, secondary=secondary, helps=helps))
    elif len(found) > 1:
        message = f"`{name.text}` of which data?"
        secondary = tuple(Label(data.place, f"`{data.name}` has texts of this name") for data in found[:2])
        helps = (f"write `{name.text} of {found[0].name}`",)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=helps))
    else:
        data = found[0]
        scope.mark_used("data", data.name)
    mask = _mask(value, name, masked, scope, in_mix=False, text=True)
    return InputReference(TextField(name.text, data, name.text, name.span), None, masked, mask, value.span)


def _mask(
    value: ast.Term, view: ast.Name, masked: bool, scope: Scope, *, in_mix: bool, text: bool = False
) -> Placed[Mask] | None:
    if value.by is None:
        word = TokensMask() if text else BlocksMask(0.6)
        return Placed(word, value.span, {}) if masked and not in_mix else None
    if in_mix:
        message = "inside a mix the mix itself masks: which tokens it hides is an argument of its own"
        scope.fail(error("M3I0201", message, value.by.span, helps=("write the mask behind both inputs: `by: MASK`",)))
    if not masked:
        how = "mixed" if value.by.name in words("mix") else "masked"
        helps = (f"write `{how} {view.text} by ...`",)
        scope.fail(error("M3I0201", f"`by` says how a {how} view is {how}", value.by.span, helps=helps))
    placed = scope.binder.word(value.by, Mask, "mask")
    if isinstance(placed.word, TextMask) != text:
        message = f"`{placed.word.name}` hides tokens of {'an image' if text else 'a text'}, and `{view.text}` is " + (
            "a text" if text else "a view"
        )
        legal = next(name for name, class_ in words("mask").items() if issubclass(class_, TextMask) == text)
        scope.fail(error("M3I0210", message, value.by.span, helps=(f"write `by {legal}(...)`",)))
    return placed


def _which(value: ast.Term, scope: Scope, *, in_mix: bool) -> Which | None:
    if value.of is None:
        if in_mix:
            helps = (f"write `{value.name} of first` or `{value.name} of second`",)
            scope.fail(error("M3I0314", f"`{value.name}` of which image of the mix?", value.span, helps=helps))
        return None
    if not in_mix:
        message = f"`of {value.of.name.text}` names an image of a mix, but the input is no mix"
        place = Span(value.of.span.file, value.of.span.start, value.of.span.end)
        scope.fail(error("M3I0314", message, place, helps=("leave it out",)))
    scope.no_field(value.of, arguments=True)
    return cast(Which, scope.expect(value.of.name, _WHICH, "image of a mix"))


# --- data of a target -------------------------------------------------------------------------------------------------


def target_references(
    found: dict[str, ast.Setting], inputs: tuple[InputReference, ...], mixed: bool, scope: Scope
) -> tuple[TargetReference, ...]:
    """The values of `data`, each once. `inputs` is empty when the input is faulty; then nothing is reported."""
    if "data" not in found or not inputs:
        raise Unbound
    attempts = Attempts()
    values = found["data"].values
    found_ = [attempts(lambda v=value: _target_references(v, inputs, mixed, scope)) for value in values]
    attempts.finish()
    references = [reference for some in found_ for reference in some]
    for index, reference in enumerate(references):
        for earlier in references[:index]:
            if (earlier.view, earlier.field, earlier.which) == (reference.view, reference.field, reference.which):
                first = Label(earlier.span, "first named here")
                message = f"`{reference.span.text if reference.view is None else reference.view.name}` is named twice"
                scope.fail(error("M3I0125", message, reference.span, secondary=(first,), helps=("leave one out",)))
    return tuple(references)


def _target_references(
    value: ast.Value, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope
) -> tuple[TargetReference, ...]:
    """`VIEW [of first|second]`, one for each view of a list, or `FIELD [of first|second]`, of the input's data."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", "target data is a view or a field", value.span))
    if len(value.words) != 1:
        masked = value.words[0].text == "masked"
        message = "target data is a view or a field" + ("; only an input is masked" if masked else "")
        helps = (f"write `{value.words[-1].text}`",) if masked else ()
        scope.fail(error("M3I0201", message, value.name_span, helps=helps))
    is_view = scope.has("view", value.words[0].text)
    scope.binder.no_extras(value, f"`{value.name}`", arguments=True, of=False, index=not is_view)
    which = _which(value, scope, in_mix=mixed)
    name = value.words[0]
    data = next((i.view.data for i in inputs if i.which == which), inputs[0].view.data)
    if not is_view:
        return (_field_reference(value, name, which, data, scope),)
    views = views_named(value, name, scope)
    view = views[0]
    if view.data is not data:
        message = f"`{view.declared_as}` is a view of `{view.data.name}`, but the input is of `{data.name}`"
        secondary = (Label(inputs[0].span, "the input"),)
        helps = ("input and target are of the same image",)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=helps))
    return tuple(TargetReference(view, view.field, view.data.fields[view.field], which, value.span) for view in views)


def _field_reference(
    value: ast.Term, name: ast.Name, which: Which | None, data: AnyData, scope: Scope
) -> TargetReference:
    fields = data.fields
    views = [view.name for view in scope.all("view", View).values() if view.data is data]
    if name.text not in fields:
        if scope.binder.unread.may_define("view", name.text):
            raise Unbound
        legal = (*views, *(field for field, modality in fields.items() if not modality.views))
        message = f"data `{data.name}` has no field `{name.text}`, and no view is called so"
        secondary = (Label(data.place, f"has {', '.join(f'`{field}`' for field in fields)}"),)
        helps, fix = help_for(name.text, legal), fix_for(name.text, name.span, legal)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=helps, fix=fix))
    modality = fields[name.text]
    if modality.views:
        helps = (f"name a view of it: {', '.join(f'`{view}`' for view in views)}",) if views else ()
        scope.fail(error("M3I0210", f"{modality.singular} is predicted as one of its views", name.span, helps=helps))
    return TargetReference(None, name.text, modality, which, value.span)


def sees_input(reference: TargetReference, inputs: tuple[InputReference, ...], mixed: bool, pairs: Pairs) -> bool:
    """Whether a target is of the very view that the input shows of its image, or of no view at all."""
    if reference.view is None or (len(inputs) > 1 and not mixed):
        return reference.view is None or pairs == "same"
    shown = [i.view for i in inputs if i.which == reference.which] or [i.view for i in inputs]
    return reference.view is shown[0]
