"""Elaboration: from the syntax tree to the typed program.

Takes: the merged tree of a recipe and the values of `--set`. Gives: a `Pipeline` of one program, or of one for each
stage; None with the diagnostics that prevent it. Guarantees: every independent fault is reported; what depends on a
faulty thing is left out without a cascade. Siblings: structure.py, parameters.py, elaborate_views.py (data, views,
encoders), elaborate_objective.py, elaborate_training.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from m3i_dsl.diagnostics import Diagnostics, Label, Severity, error
from m3i_dsl.semantics.bind import Attempts, Binder
from m3i_dsl.semantics.elaborate_objective import elaborate_objective
from m3i_dsl.semantics.elaborate_training import elaborate_evaluations, elaborate_training
from m3i_dsl.semantics.elaborate_views import elaborate_data, elaborate_encoder, elaborate_view
from m3i_dsl.semantics.given import Given
from m3i_dsl.semantics.packages import word_raised
from m3i_dsl.semantics.parameters import parameters_in_force, texts
from m3i_dsl.semantics.pipeline import Pipeline
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Mixture, Objective, Program, View, ViewList
from m3i_dsl.semantics.scope import Defined, Scope
from m3i_dsl.semantics.structure import Body, bodies_of, distinct, is_part, only, report_missing, report_part
from m3i_dsl.semantics.training import EvaluationDeclaration, Training
from m3i_dsl.semantics.unread import unread
from m3i_dsl.semantics.uses import Uses
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast


def elaborate(
    recipe: ast.Recipe, settings: Mapping[str, Given], diagnostics: Diagnostics, uses: Uses | None = None
) -> Pipeline | None:
    """`settings` are the values of `--set name=value`; reports to `diagnostics`, and to `uses` what names it finds."""
    uses = Uses() if uses is None else uses
    hidden = unread(diagnostics)
    if not diagnostics.has_errors and is_part(recipe):
        report_part(recipe, diagnostics)
        return None
    if not diagnostics.has_errors:  # a block that did not parse is missing for that reason, which is reported already
        report_missing(recipe, diagnostics)
    if any("." in name for name in settings):
        from m3i_dsl.semantics.overrides import overridden  # few recipes are checked with such settings

        recipe = overridden(recipe, settings, diagnostics)
    declared = recipe.declarations
    params = _params(declared, diagnostics, uses)
    parameters = parameters_in_force(params, settings, hidden, diagnostics)
    unreadable = hidden.and_params(parameters.refused)
    scope = Scope(Binder(parameters.values, diagnostics, given=parameters.given, unread=unreadable, uses=uses))
    try:
        return _pipeline(recipe, scope, texts(parameters), diagnostics)
    except Exception as fault:
        raised = word_raised(fault, scope.binder.bound, recipe.span)
        if raised is None:
            raise
        diagnostics.add(raised)
        return None


def names_of_part(recipe: ast.Recipe) -> Uses:
    """What a file of definitions declares and reads. Its faults are those of the recipes that use it."""
    faults, uses = Diagnostics(), Uses()
    params = _params(recipe.declarations, faults, uses)
    scope = Scope(Binder({param.name.text: param.value for param in params}, faults, uses=uses))
    _define(recipe, scope, faults)
    Attempts()(scope.elaborate)
    return uses


def _pipeline(
    recipe: ast.Recipe, scope: Scope, parameters: Mapping[str, str], diagnostics: Diagnostics
) -> Pipeline | None:
    declared = recipe.declarations
    _define(recipe, scope, diagnostics)
    attempts = Attempts()
    attempts(scope.elaborate)
    trainings = [_training(body, scope) for body in bodies_of(recipe, diagnostics)]
    name = only(declared, ast.RecipeName, "recipe", diagnostics)
    if diagnostics.has_errors or name is None:
        return None
    for found in trainings:
        _same_names(found.objectives, diagnostics)
    _same_identifiers(scope, diagnostics)
    _unused(scope, recipe, diagnostics)
    _unused_of_lists(scope, [o for found in trainings for o in found.objectives], diagnostics)
    programs: list[Program] = []
    for found in trainings:
        assert found.training is not None, "a body without training is reported"
        program = Program(
            name=name.name.text,
            file=recipe.span.file,
            parameters=parameters,
            data=scope.all("data", Data),
            views=views_in(scope),
            encoders=scope.all("encoder", EncoderDeclaration),
            objectives=tuple(found.objectives),
            training=found.training,
            evaluations=tuple(found.evaluations),
            span=name.span if found.stage is None else found.stage.name.span,
            mixtures=scope.all("data", Mixture),
            stage=None if found.stage is None else found.stage.name.text,
        )
        programs.append(_without_unread(program))
    return Pipeline(tuple(programs), _declared(scope))


def _params(declared: Iterable[ast.Declaration], diagnostics: Diagnostics, uses: Uses) -> list[ast.Param]:
    params = distinct(declared, ast.Param, "param", diagnostics)
    for param in params:
        uses.declare("param", param.name.span, param.span)
    return params


def _define(recipe: ast.Recipe, scope: Scope, diagnostics: Diagnostics) -> None:
    declared = recipe.declarations
    for data in distinct(declared, ast.Data, "data", diagnostics):
        scope.define("data", data.name, data.span, lambda d=data: elaborate_data(d, scope))
    for view in distinct(declared, ast.View, "view", diagnostics):
        scope.define("view", view.name, view.span, lambda v=view: elaborate_view(v, scope))
    for encoder in distinct(declared, ast.Encoder, "encoder", diagnostics):
        scope.define("encoder", encoder.name, encoder.span, lambda e=encoder: elaborate_encoder(e, scope))


@dataclass(frozen=True, slots=True)
class _Training:
    """A body after elaboration. `training` is None when it is faulty or missing, which is reported."""

    stage: ast.Stage | None
    objectives: list[Objective]
    training: Training | None
    evaluations: list[EvaluationDeclaration]


def _training(body: Body, scope: Scope) -> _Training:
    attempts = Attempts()
    objectives = [attempts(lambda o=block: elaborate_objective(o, scope)) for block in body.objectives]
    train = body.train
    training = attempts(lambda: elaborate_training(train, scope)) if train is not None else None
    evaluations = [found for block in body.evaluates for found in elaborate_evaluations(block, scope)]
    return _Training(body.stage, objectives, training, evaluations)


def _declared(scope: Scope) -> Mapping[Defined, tuple[str, ...]]:
    """The names of data, views and encoders, in the order of the recipe."""
    kinds: tuple[Defined, ...] = ("data", "view", "encoder")
    return {kind: scope.names(kind) for kind in kinds}


def _without_unread(program: Program) -> Program:
    """Leaves out what a used file defines and this recipe does not read: a file of definitions serves many recipes.

    Of a stage everything is left out that it does not read: other stages may.
    """

    def stays(span: Span) -> bool:
        return program.stage is None and not _included(span)

    encoders = {o.encoder.name for o in program.objectives}
    encoders |= {t.encoder.name for o in program.objectives for t in o.targets if t.encoder is not None}
    encoders |= {e.name for e in program.encoders.values() if stays(e.span)}
    for name in tuple(encoders):
        encoders |= set(_ancestors(program.encoders[name], program.encoders))
    read = views_read(program.objectives)
    views = {v.name for v in program.views.values() if v.declared_as in {r.declared_as for r in read.values()}}
    kept_encoders = {n: e for n, e in program.encoders.items() if n in encoders}
    kept_views = {n: v for n, v in program.views.items() if n in views or stays(v.span)}
    data = {view.data.name for view in kept_views.values()}
    data |= {shown.view.data.name for o in program.objectives for shown in o.inputs}
    mixtures = {n: m for n, m in program.mixtures.items() if n in data or stays(m.span)}
    data |= {source.name for mixture in mixtures.values() for source in mixture.sources}
    kept_data = {n: d for n, d in program.data.items() if n in data or stays(d.span)}
    return replace(program, encoders=kept_encoders, views=kept_views, data=kept_data, mixtures=mixtures)


def _ancestors(encoder: EncoderDeclaration, encoders: Mapping[str, EncoderDeclaration]) -> Iterator[str]:
    """What an encoder is a copy of or starts from, and so on."""
    for name in (encoder.of, encoder.start):
        if name is not None:
            yield name
            yield from _ancestors(encoders[name], encoders)


def _included(span: Span) -> bool:
    return span.file.included_from is not None


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
    views = [r.view for o in objectives for r in o.inputs if isinstance(r.view, View)]
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
    staged = any(isinstance(declaration, ast.Stage) for declaration in recipe.declarations)
    copies = {name for name, encoder in scope.all("encoder", EncoderDeclaration).items() if not encoder.trained}
    for kind, name in scope.unused():
        # An average or a frozen encoder that nobody reads is an error of its own (checks/gradient.py), which a program
        # of a stage does not have.
        if staged and kind == "encoder" and name.text in copies and not _included(name.span):
            message = f"no target of any stage is a representation of `{name.text}`, which is a copy"
            helps = (f"write `representation ... of {name.text}` in a target, or remove it",)
            diagnostics.add(error("M3I0312", message, name.span, helps=helps))
        if not _included(name.span) and not (kind == "encoder" and name.text in copies):
            scope.warn_unused(kind, name)
