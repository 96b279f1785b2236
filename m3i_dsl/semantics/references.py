"""What `input` and `data` name: views and fields, and which image of a mix.

Takes: the value of a setting. Gives: references to views and fields of the recipe. Guarantees: every part of the
value is read or reported.
"""

from __future__ import annotations

from typing import cast

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Attempts, Unbound
from m3i_dsl.semantics.program import Data, InputReference, Placed, TargetReference, View, Which
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import fix_for, help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Mask
from m3i_dsl.vocabulary.masks.blocks import BlocksMask
from m3i_dsl.vocabulary.mixes.mix import PatchMix

_WHICH: tuple[Which, Which] = ("first", "second")
_EXPECTED = "an input is `VIEW`, `masked VIEW`, or `mix(...)`"


# --- input ------------------------------------------------------------------------------------------------------------


def input_of(value: ast.Value, scope: Scope) -> tuple[tuple[InputReference, ...], Placed[PatchMix] | None]:
    """The one input, or the first and the second of a mix."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", _EXPECTED, value.span))
    if value.name != PatchMix.name:
        reference = _input_reference(value, scope, in_mix=False)
        return (reference,), None
    scope.binder.no_extras(value, "`mix`")
    arguments = value.arguments or ()
    positional = [argument for argument in arguments if argument.name is None]
    named = tuple(argument for argument in arguments if argument.name is not None)
    attempts = Attempts()
    inputs = [attempts(lambda a=argument: _input_reference(a.value, scope, in_mix=True)) for argument in positional]
    mix = attempts(lambda: scope.binder.call(PatchMix, named, value.span, value.name_span))
    helps = ("write `mix(masked VIEW of first, masked VIEW of second, by: blocks(50%))`",)
    count = len(inputs)
    if count != len(_WHICH):
        message = f"`mix` takes two inputs, found {count}"
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
    """`[masked] VIEW [of first|second] [by MASK]`."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", _EXPECTED, value.span))
    masked = len(value.words) > 1 and value.words[0].text == "masked"
    name = value.words[1 if masked else 0]
    if len(value.words) > (2 if masked else 1):
        helps = help_for(name.text, ("masked",))
        fix = fix_for(name.text, name.span, ("masked",))
        scope.fail(error("M3I0201", _EXPECTED, value.name_span, helps=helps, fix=fix))
    scope.binder.no_extras(value, f"`{value.name}`", arguments=True, of=False, by=False)
    attempts = Attempts()
    view = attempts(lambda: scope.find("view", name, View))
    which: Which | None = attempts(lambda: _which(value, scope, in_mix=in_mix))
    mask = attempts(lambda: _mask(value, name, masked, scope, in_mix=in_mix))
    attempts.finish()
    return InputReference(view, which, masked, mask, value.span)


def _mask(value: ast.Term, view: ast.Name, masked: bool, scope: Scope, *, in_mix: bool) -> Placed[Mask] | None:
    if value.by is None:
        return Placed(BlocksMask(0.6), value.span, {}) if masked and not in_mix else None
    if in_mix:
        message = "inside `mix` the mix itself masks: `by` is its own argument"
        scope.fail(error("M3I0201", message, value.by.span, helps=("write `mix(..., by: MASK)`",)))
    if not masked:
        helps = (f"write `masked {view.text} by ...`",)
        scope.fail(error("M3I0201", "`by` says how a masked view is masked", value.by.span, helps=helps))
    return scope.binder.word(value.by, Mask, "mask")


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
    references = [attempts(lambda v=value: _target_reference(v, inputs, mixed, scope)) for value in values]
    attempts.finish()
    for index, reference in enumerate(references):
        for earlier in references[:index]:
            if (earlier.view, earlier.field, earlier.which) == (reference.view, reference.field, reference.which):
                first = Label(earlier.span, "first named here")
                message = f"`{reference.span.text}` is named twice"
                scope.fail(error("M3I0125", message, reference.span, secondary=(first,), helps=("leave one out",)))
    return tuple(references)


def _target_reference(
    value: ast.Value, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope
) -> TargetReference:
    """`VIEW [of first|second]` or `FIELD [of first|second]`; a field is one of the data that the input shows."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", "target data is a view or a field", value.span))
    if len(value.words) != 1:
        masked = value.words[0].text == "masked"
        message = "target data is a view or a field" + ("; only an input is masked" if masked else "")
        helps = (f"write `{value.words[-1].text}`",) if masked else ()
        scope.fail(error("M3I0201", message, value.name_span, helps=helps))
    scope.binder.no_extras(value, f"`{value.name}`", arguments=True, of=False)
    which = _which(value, scope, in_mix=mixed)
    name = value.words[0]
    data = next((i.view.data for i in inputs if i.which == which), inputs[0].view.data)
    if not scope.has("view", name.text):
        return _field_reference(value, name, which, data, scope)
    view = scope.find("view", name, View)
    if view.data is not data:
        message = f"`{view.name}` is a view of `{view.data.name}`, but the input is of `{data.name}`"
        secondary = (Label(inputs[0].span, "the input"),)
        helps = ("input and target are of the same image",)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=helps))
    return TargetReference(view, view.field, "image", which, value.span)


def _field_reference(value: ast.Term, name: ast.Name, which: Which | None, data: Data, scope: Scope) -> TargetReference:
    fields = data.fields
    views = [view.name for view in scope.all("view", View).values() if view.data is data]
    if name.text not in fields:
        if scope.binder.unread.may_define("view", name.text):
            raise Unbound
        legal = (*views, *(field for field, modality in fields.items() if modality != "image"))
        message = f"data `{data.name}` has no field `{name.text}`, and no view is called so"
        secondary = (Label(data.source.span, f"has {', '.join(f'`{field}`' for field in fields)}"),)
        helps, fix = help_for(name.text, legal), fix_for(name.text, name.span, legal)
        scope.fail(error("M3I0211", message, name.span, secondary=secondary, helps=helps, fix=fix))
    if fields[name.text] == "image":
        helps = (f"name a view of it: {', '.join(f'`{view}`' for view in views)}",) if views else ()
        scope.fail(error("M3I0210", "an image is predicted as one of its views", name.span, helps=helps))
    return TargetReference(None, name.text, fields[name.text], which, value.span)


def sees_input(reference: TargetReference, inputs: tuple[InputReference, ...]) -> bool:
    """Whether a target is of the very view that the input shows of its image, or of no view at all."""
    shown = next((i.view for i in inputs if i.which == reference.which), inputs[0].view)
    return reference.view is None or reference.view is shown
