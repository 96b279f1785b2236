"""Elaboration: from the syntax tree to the typed program.

Takes: the merged tree of a recipe and the values of `--set`. Gives: a `Program`, or None with the diagnostics that
prevent one. Guarantees: every independent fault is reported; what depends on a faulty thing is left out without a
cascade. Siblings: parameters.py, elaborate_views.py (data, views, encoders), elaborate_objective.py,
elaborate_training.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from m3i_dsl.diagnostics import Diagnostics, Label, Severity, error
from m3i_dsl.semantics.bind import Attempts, Binder
from m3i_dsl.semantics.elaborate_objective import elaborate_objective
from m3i_dsl.semantics.elaborate_training import elaborate_evaluations, elaborate_training
from m3i_dsl.semantics.elaborate_views import elaborate_data, elaborate_encoder, elaborate_view
from m3i_dsl.semantics.parameters import parameters_in_force, texts
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Mixture, Objective, Program, View, ViewList
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.unread import unread
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import LANGUAGE_VERSION

D = TypeVar("D", ast.Param, ast.Data, ast.View, ast.Encoder, ast.Objective)
Block = TypeVar("Block", ast.Train, ast.Evaluate, ast.RecipeName)


def elaborate(recipe: ast.Recipe, settings: Mapping[str, ast.Value], diagnostics: Diagnostics) -> Program | None:
    """`settings` are the values of `--set name=value`; reports to `diagnostics`."""
    hidden = unread(diagnostics)
    if not diagnostics.has_errors and _is_part(recipe):
        _report_part(recipe, diagnostics)
        return None
    if not diagnostics.has_errors:  # a block that did not parse is missing for that reason, which is reported already
        _missing(recipe, diagnostics)
    parameters = parameters_in_force(_distinct(recipe, ast.Param, "param", diagnostics), settings, hidden, diagnostics)
    scope = Scope(
        Binder(parameters.values, diagnostics, given=parameters.given, unread=hidden.and_params(parameters.refused))
    )
    for data in _distinct(recipe, ast.Data, "data", diagnostics):
        scope.define("data", data.name, lambda d=data: elaborate_data(d, scope))
    for view in _distinct(recipe, ast.View, "view", diagnostics):
        scope.define("view", view.name, lambda v=view: elaborate_view(v, scope))
    for encoder in _distinct(recipe, ast.Encoder, "encoder", diagnostics):
        scope.define("encoder", encoder.name, lambda e=encoder: elaborate_encoder(e, scope))
    attempts = Attempts()
    attempts(scope.elaborate)
    blocks = _distinct(recipe, ast.Objective, "objective", diagnostics)
    objectives = [attempts(lambda o=block: elaborate_objective(o, scope)) for block in blocks]
    train = _only(recipe, ast.Train, "train", diagnostics)
    training = attempts(lambda: elaborate_training(train, scope)) if train is not None else None
    evaluate = _only(recipe, ast.Evaluate, "evaluate", diagnostics)
    evaluations = elaborate_evaluations(evaluate, scope) if evaluate is not None else []
    name = _only(recipe, ast.RecipeName, "recipe", diagnostics)
    if diagnostics.has_errors or training is None or name is None:
        return None
    _same_names(objectives, diagnostics)
    _same_identifiers(scope, diagnostics)
    _unused(scope, recipe, diagnostics)
    _unused_of_lists(scope, objectives, diagnostics)
    program = Program(
        name=name.name.text,
        file=recipe.span.file,
        parameters=texts(parameters),
        data=scope.all("data", Data),
        views=views_in(scope),
        encoders=scope.all("encoder", EncoderDeclaration),
        objectives=tuple(objectives),
        training=training,
        evaluations=tuple(evaluations),
        span=name.span,
        mixtures=scope.all("data", Mixture),
    )
    return _without_unread_includes(program)


def _without_unread_includes(program: Program) -> Program:
    """Leaves out what a used file defines and this recipe does not read: a file of definitions serves many recipes."""
    encoders = {o.encoder.name for o in program.objectives}
    encoders |= {t.encoder.name for o in program.objectives for t in o.targets if t.encoder is not None}
    encoders |= {e.name for e in program.encoders.values() if not _included(e.span)}
    encoders |= {program.encoders[name].of or name for name in encoders}
    read = views_read(program.objectives)
    views = {v.name for v in program.views.values() if v.declared_as in {r.declared_as for r in read.values()}}
    kept_encoders = {n: e for n, e in program.encoders.items() if n in encoders}
    kept_views = {n: v for n, v in program.views.items() if n in views or not _included(v.span)}
    data = {view.data.name for view in kept_views.values()}
    mixtures = {n: m for n, m in program.mixtures.items() if n in data or not _included(m.span)}
    data |= {source.name for mixture in mixtures.values() for source in mixture.sources}
    kept_data = {n: d for n, d in program.data.items() if n in data or not _included(d.span)}
    return replace(program, encoders=kept_encoders, views=kept_views, data=kept_data, mixtures=mixtures)


def _included(span: Span) -> bool:
    return span.file.included_from is not None


# --- what a recipe must have, and once --------------------------------------------------------------------------------


def _is_part(recipe: ast.Recipe) -> bool:
    """Whether a file only has definitions for others to use."""
    return not any(isinstance(d, (ast.RecipeName, ast.Train, ast.Objective)) for d in recipe.declarations)


def _report_part(recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    message = "there is no `recipe`, no `objective`, and no `train` in this file"
    helps = ("check the recipe that uses it", f"or start one with `m3i {LANGUAGE_VERSION}` and `recipe NAME`")
    diagnostics.add(error("M3I0126", message, _head(recipe), helps=helps))


def _missing(recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    wanted: tuple[tuple[type, str, str], ...] = (
        (ast.Version, "`m3i` version", f"start the file with `m3i {LANGUAGE_VERSION}`"),
        (ast.RecipeName, "name", "add `recipe NAME` at the top"),
        (ast.Objective, "`objective`", "add `objective NAME { ... }`"),
        (ast.Train, "`train` block", "add `train { ... }`"),
    )
    for class_, what, help_ in wanted:
        if not any(isinstance(declaration, class_) for declaration in recipe.declarations):
            diagnostics.add(error("M3I0126", f"the recipe has no {what}", _head(recipe), helps=(help_,)))


def _head(recipe: ast.Recipe) -> Span:
    """What stands for the whole recipe in a message: its name, its version, or the start of its file."""
    for class_ in (ast.RecipeName, ast.Version):
        for declaration in recipe.declarations:
            if isinstance(declaration, class_):
                return declaration.span
    return Span(recipe.span.file, 0, 0)


def _distinct(recipe: ast.Recipe, class_: type[D], kind: str, diagnostics: Diagnostics) -> list[D]:
    """The declarations of a class, each name once; a second one of the same name is reported."""
    found: dict[str, D] = {}
    for declaration in recipe.declarations:
        if not isinstance(declaration, class_):
            continue
        name = declaration.name
        if name.text in found:
            first = Label(found[name.text].name.span, "first defined here")
            message = f"{kind} `{name.text}` is defined twice"
            diagnostics.add(error("M3I0121", message, name.span, secondary=(first,), helps=("rename one of them",)))
        else:
            found[name.text] = declaration
    return list(found.values())


def _only(recipe: ast.Recipe, class_: type[Block], keyword: str, diagnostics: Diagnostics) -> Block | None:
    found = [d for d in recipe.declarations if isinstance(d, class_)]
    if class_ is not ast.RecipeName:  # a second `recipe` is reported when the file is read
        for extra in found[1:]:
            first = Label(keyword_span(found[0], keyword), "the first one")
            message = f"a recipe has one `{keyword}` block"
            helps = ("put the lines of both into one",)
            diagnostics.add(error("M3I0121", message, keyword_span(extra, keyword), secondary=(first,), helps=helps))
    return found[0] if found else None


def keyword_span(block: ast.Declaration, keyword: str) -> Span:
    """The keyword that a block starts with."""
    return Span(block.span.file, block.span.start, block.span.start + len(keyword))


def _same_names(objectives: list[Objective], diagnostics: Diagnostics) -> None:
    """A target's parts are called `objective_target`: two pairs that spell the same name would share them."""
    found: dict[str, tuple[str, Span]] = {}
    for objective in objectives:
        for target in objective.targets:
            spelled = f"{objective.name}_{target.name}"
            if spelled in found:
                first, place = found[spelled]
                message = f"targets `{first}` and `{objective.name}.{target.name}` would both be called `{spelled}`"
                labels = (Label(place, "the first one"),)
                helps = ("rename one of them",)
                diagnostics.add(error("M3I0121", message, target.span, secondary=labels, helps=helps))
            else:
                found[spelled] = (f"{objective.name}.{target.name}", target.span)


def views_in(scope: Scope) -> dict[str, View]:
    """All sound views by name, those of a list one by one."""
    found = scope.all("view", object).values()
    views = [view for item in found for view in (item.views if isinstance(item, ViewList) else (item,))]
    return {view.name: view for view in views if isinstance(view, View)}


def views_read(objectives: Iterable[Objective]) -> dict[str, View]:
    """The views that inputs and targets name."""
    views = [r.view for o in objectives for r in o.inputs]
    views += [r.view for o in objectives for t in o.targets for r in t.data if r.view is not None]
    return {view.name: view for view in views}


def _same_identifiers(scope: Scope, diagnostics: Diagnostics) -> None:
    """A view of a list goes by `local_0` in a graph, which may be the name of another view."""
    found: dict[str, View] = {}
    for view in views_in(scope).values():
        first = found.setdefault(view.identifier, view)
        if first is not view:
            message = f"views `{first.name}` and `{view.name}` would both be called `{view.identifier}`"
            labels = (Label(first.span, "the first one"),)
            helps = ("rename one of them",)
            diagnostics.add(error("M3I0121", message, view.span, secondary=labels, helps=helps))


def _unused_of_lists(scope: Scope, objectives: list[Objective], diagnostics: Diagnostics) -> None:
    """Views of a list that nothing reads although it reads others."""
    if diagnostics.has_errors:
        return
    read = views_read(objectives)
    for found in scope.all("view", ViewList).values():
        unused = [view.name for view in found.views if view.name not in read]
        if unused and len(unused) < len(found.views) and not _included(found.span):
            names = ", ".join(f"`{name}`" for name in unused)
            message = f"view {names} is never used" if len(unused) == 1 else f"views {names} are never used"
            helps = (f"name the whole list, `{found.name}`", "or declare fewer views")
            diagnostics.add(error("M3I0806", message, found.count_span, helps=helps, severity=Severity.WARNING))


def _unused(scope: Scope, recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    if diagnostics.has_errors:
        return
    for param in (d for d in recipe.declarations if isinstance(d, ast.Param)):
        if param.name.text not in scope.binder.used and not _included(param.span):
            scope.warn_unused("param", param.name)
    copies = {name for name, encoder in scope.all("encoder", EncoderDeclaration).items() if not encoder.trained}
    for kind, name in scope.unused():
        # An average or a frozen encoder that nobody reads is an error of its own (checks/gradient.py).
        if not _included(name.span) and not (kind == "encoder" and name.text in copies):
            scope.warn_unused(kind, name)
