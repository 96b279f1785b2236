"""Elaboration: from the syntax tree to the typed program.

Takes: the merged tree of a recipe and the values of `--set`. Gives: a `Program`, or None with the diagnostics that prevent
one. Guarantees: every independent fault is reported; what depends on a faulty thing is left out without a cascade.
Siblings: elaborate_views.py (data, views, encoders), elaborate_objective.py, elaborate_training.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.semantics.bind import Binder, Unbound
from m3i_dsl.semantics.elaborate_objective import elaborate_objective
from m3i_dsl.semantics.elaborate_training import elaborate_evaluations, elaborate_training
from m3i_dsl.semantics.elaborate_views import elaborate_data, elaborate_encoder, elaborate_view
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Objective, Program, View
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.printer import print_value

D = TypeVar("D", ast.Param, ast.Data, ast.View, ast.Encoder, ast.Objective)

LANGUAGE_VERSION = 1


def elaborate(
    recipe: ast.Recipe, settings: Mapping[str, ast.Value], diagnostics: Diagnostics
) -> Program | None:
    """`settings` are the values of `--set name=value`; reports to `diagnostics`."""
    _version(recipe, diagnostics)
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
    if not objectives:
        _missing(recipe, "an `objective`", "add `objective NAME { ... }`", diagnostics)
    if train is None:
        _missing(recipe, "a `train` block", "add `train { ... }`", diagnostics)
    if name is None:
        _missing(recipe, "a name", "add `recipe NAME` at the top", diagnostics)
    _unused(scope, parameters, recipe, diagnostics)
    if diagnostics.has_errors or training is None or name is None:
        return None
    return Program(
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


def _version(recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    version = next((d for d in recipe.declarations if isinstance(d, ast.Version)), None)
    if version is None:
        _missing(recipe, "a language version", f"start the file with `m3i {LANGUAGE_VERSION}`", diagnostics)
    elif version.number.value != LANGUAGE_VERSION:
        message = f"language version {version.number.span.text} is not known to this m3ic"
        helps = (f"write `m3i {LANGUAGE_VERSION}`, or use the m3ic that the recipe was written for",)
        diagnostics.add(error("M3I0128", message, version.number.span, helps=helps))


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
        if param.name.text not in scope.binder.used:
            scope.warn_unused("param", param.name)
    for kind, name in scope.unused():
        scope.warn_unused(kind, name)


T = TypeVar("T")


def _poisoned(build: Callable[[], T]) -> T | None:
    """The result of `build`, or None when a fault (already reported) prevents it."""
    try:
        return build()
    except Unbound:
        return None
