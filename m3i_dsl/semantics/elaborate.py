"""Elaboration: from the syntax tree to the typed program.

Takes: the merged tree of a recipe and the values of `--set`. Gives: a `Program`, or None with the diagnostics that prevent
one. Guarantees: every independent fault is reported; what depends on a faulty thing is left out without a cascade.
Siblings: elaborate_views.py (data, views, encoders), elaborate_objective.py, elaborate_training.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.semantics.bind import Binder, Unbound
from m3i_dsl.semantics.elaborate_objective import elaborate_objective
from m3i_dsl.semantics.elaborate_training import elaborate_evaluations, elaborate_training
from m3i_dsl.semantics.elaborate_views import elaborate_data, elaborate_encoder, elaborate_view
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Objective, Program, View
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import LANGUAGE_VERSION
from m3i_dsl.syntax.printer import print_value

D = TypeVar("D", ast.Param, ast.Data, ast.View, ast.Encoder, ast.Objective)


def elaborate(
    recipe: ast.Recipe, settings: Mapping[str, ast.Value], diagnostics: Diagnostics
) -> Program | None:
    """`settings` are the values of `--set name=value`; reports to `diagnostics`."""
    parameters = _parameters(recipe, settings, diagnostics)
    binder = Binder(parameters, diagnostics)
    scope = Scope(binder=binder)
    for data in _distinct(recipe, ast.Data, "data", diagnostics):
        scope.define("data", data.name, _poisoned(lambda d=data: elaborate_data(d, scope)))
    for view in _distinct(recipe, ast.View, "view", diagnostics):
        scope.define("view", view.name, _poisoned(lambda v=view: elaborate_view(v, scope)))
    for encoder in _distinct(recipe, ast.Encoder, "encoder", diagnostics):
        scope.define("encoder", encoder.name, _poisoned(lambda e=encoder: elaborate_encoder(e, scope)))
    objectives = [
        _poisoned(lambda o=objective: elaborate_objective(o, scope))
        for objective in _distinct(recipe, ast.Objective, "objective", diagnostics)
    ]
    train = _only(recipe, ast.Train, "train", diagnostics)
    training = _poisoned(lambda: elaborate_training(train, scope)) if train else None
    evaluations = [
        evaluation
        for block in recipe.declarations
        if isinstance(block, ast.Evaluate)
        for evaluation in elaborate_evaluations(block, scope)
    ]
    name = _only(recipe, ast.RecipeName, "recipe", diagnostics)
    if not any(isinstance(d, ast.Version) for d in recipe.declarations):
        _missing(recipe, "a language version", f"start the file with `m3i {LANGUAGE_VERSION}`", diagnostics)
    if not objectives:
        _missing(recipe, "an `objective`", "add `objective NAME { ... }`", diagnostics)
    if train is None:
        _missing(recipe, "a `train` block", "add `train { ... }`", diagnostics)
    if name is None:
        _missing(recipe, "a name", "add `recipe NAME` at the top", diagnostics)
    _unused(scope, parameters, recipe, diagnostics)
    if diagnostics.has_errors or training is None or name is None:
        return None
    program = Program(
        name=name.name.text,
        file=recipe.span.file,
        parameters={key: print_value(value) for key, value in parameters.items()},
        data=scope.all("data", Data),
        views=scope.all("view", View),
        encoders=scope.all("encoder", EncoderDeclaration),
        objectives=tuple(objective for objective in objectives if isinstance(objective, Objective)),
        training=training,
        evaluations=tuple(evaluations),
        span=name.span,
    )
    return _without_unread_includes(program)


def _without_unread_includes(program: Program) -> Program:
    """Leaves out what a used file defines and this recipe does not read: a file of definitions serves many recipes."""
    encoders = {o.encoder.name for o in program.objectives}
    encoders |= {t.encoder.name for o in program.objectives for t in o.targets if t.encoder is not None}
    encoders |= {program.encoders[name].of or name for name in encoders}
    views = {r.view.name for o in program.objectives for r in o.inputs}
    views |= {r.view.name for o in program.objectives for t in o.targets for r in t.data if r.view is not None}
    kept_encoders = {n: e for n, e in program.encoders.items() if n in encoders or not _included(e.span)}
    kept_views = {n: v for n, v in program.views.items() if n in views or not _included(v.span)}
    data = {view.data.name for view in kept_views.values()}
    kept_data = {n: d for n, d in program.data.items() if n in data or not _included(d.span)}
    return replace(program, encoders=kept_encoders, views=kept_views, data=kept_data)


def _included(span: Span) -> bool:
    return span.file.included_from is not None


def _parameters(
    recipe: ast.Recipe, settings: Mapping[str, ast.Value], diagnostics: Diagnostics
) -> dict[str, ast.Value]:
    """Parameter values by name, those of `--set` in place of their defaults. A default may name an earlier `param`."""
    parameters: dict[str, ast.Value] = {}
    for param in _distinct(recipe, ast.Param, "param", diagnostics):
        value = param.value
        if isinstance(value, ast.Term) and value.name in parameters and value.arguments is None:
            value = parameters[value.name]
        given = settings.get(param.name.text)
        if given is not None and not _same_type(given, value):
            diagnostics.add(
                error(
                    "M3I0204",
                    f"`--set {param.name.text}` does not have the type of its default",
                    given.span,
                    secondary=(Label(param.value.span, "the default"),),
                    helps=(f"write a value like `{print_value(value)}`",),
                )
            )
            given = None
        parameters[param.name.text] = given if given is not None else value
    for name, value in settings.items():
        if name not in parameters:
            message = f"the recipe has no `param {name}`"
            diagnostics.add(error("M3I0129", message, value.span, helps=help_for(name, parameters)))
    return parameters


def _same_type(given: ast.Value, default: ast.Value) -> bool:
    if isinstance(given, ast.Number) and isinstance(default, ast.Number):
        return given.unit == default.unit
    number_like = (ast.Number, ast.Ramp, ast.Rate)
    return type(given) is type(default) or (isinstance(given, number_like) and isinstance(default, (ast.Ramp, ast.Rate)))


def _distinct(recipe: ast.Recipe, class_: type[D], kind: str, diagnostics: Diagnostics) -> list[D]:
    """The declarations of a class, each name once; a second one of the same name is reported."""
    found: dict[str, D] = {}
    for declaration in recipe.declarations:
        if not isinstance(declaration, class_):
            continue
        name = declaration.name
        if name.text in found:
            first = Label(found[name.text].name.span, "first defined here")
            diagnostics.add(error("M3I0121", f"{kind} `{name.text}` is defined twice", name.span, secondary=(first,)))
        else:
            found[name.text] = declaration
    return list(found.values())


O = TypeVar("O", ast.Train, ast.RecipeName)


def _only(recipe: ast.Recipe, class_: type[O], keyword: str, diagnostics: Diagnostics) -> O | None:
    found = [d for d in recipe.declarations if isinstance(d, class_)]
    for extra in found[1:]:
        first = Label(found[0].span, "the first one")
        diagnostics.add(error("M3I0121", f"a recipe has one `{keyword}`", extra.span, secondary=(first,)))
    return found[0] if found else None


def _missing(recipe: ast.Recipe, what: str, help_: str, diagnostics: Diagnostics) -> None:
    if not diagnostics.has_errors:  # a block that did not parse is missing for that reason, which is reported already
        diagnostics.add(error("M3I0126", f"the recipe has no {what.removeprefix('an ').removeprefix('a ')}", recipe.span, helps=(help_,)))


def _unused(
    scope: Scope, parameters: Mapping[str, ast.Value], recipe: ast.Recipe, diagnostics: Diagnostics
) -> None:
    if diagnostics.has_errors:
        return
    for param in (d for d in recipe.declarations if isinstance(d, ast.Param)):
        if param.name.text not in scope.binder.used and not _included(param.span):
            scope.warn_unused("param", param.name)
    for kind, name in scope.unused():
        if not _included(name.span):
            scope.warn_unused(kind, name)


T = TypeVar("T")


def _poisoned(build: Callable[[], T]) -> T | None:
    """The result of `build`, or None when a fault (already reported) prevents it."""
    try:
        return build()
    except Unbound:
        return None
