"""Elaboration of an `objective`: its input, its input representation and its targets.

Defaults that `resolve` prints: mask `blocks(60%)` (SiameseIM), predictor by the form of the target (Figure 1 of the
paper: Transformer for dense targets, GAP + Linear for categories and texts; `mlp` for global features), `weighting
fixed`, `symmetric false`, `pairs others`, `weight 1` (our choice). Sibling: references.py, what `input` and `data`
name.
"""

from __future__ import annotations

from typing import get_args

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Attempts, Unbound
from m3i_dsl.semantics.literals import PLAIN
from m3i_dsl.semantics.program import EncoderDeclaration, InputReference, Objective, Pairs, Placed, Target, TextField
from m3i_dsl.semantics.references import inputs_of, sees_input, target_references
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.settings import by_keyword, single
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Distribution, Predictor, Regularization, Representation, Weighting
from m3i_dsl.vocabulary.weightings.fixed import Fixed
from m3i_dsl.vocabulary.word import Bounds, ValueType, argument_text

_OBJECTIVE = ("input", "represent", "weighting", "symmetric")
_TARGET = ("data", "pairs", "representation", "predictor", "regularization", "distribution", "weight")
_REQUIRED = ("data", "representation", "regularization", "distribution")
_BOOLEAN = ValueType("boolean")
_PAIRS = ValueType("choice", choices=get_args(Pairs))


def elaborate_objective(block: ast.Objective, scope: Scope) -> Objective:
    binder = scope.binder
    settings = [item for item in block.items if isinstance(item, ast.Setting)]
    where = f"objective `{block.name.text}`"
    found = by_keyword(settings, _OBJECTIVE, ("input", "represent"), where, block.name.span, binder.diagnostics)
    attempts = Attempts()

    def setting(name: str) -> ast.Value:
        return single(found, name, binder.diagnostics)

    inputs, mix = attempts(lambda: inputs_of(_written(found, "input"), scope)) or ((), None)
    represent, encoder = attempts(lambda: _represent(setting("represent"), scope)) or (None, None)
    if inputs and encoder:
        attempts(lambda: _encodes(encoder, inputs, found["represent"].values[0].span, scope))
    weighting: Placed[Weighting] = Placed(Fixed(), block.name.span, {})
    if "weighting" in found:
        weighting = attempts(lambda: binder.word(setting("weighting"), Weighting, "weighting"))
    symmetric = False
    if "symmetric" in found:
        symmetric = attempts(lambda: binder.value(setting("symmetric"), _BOOLEAN, "`symmetric`"))
    targets = _targets(block, inputs, mix is not None, scope, attempts)
    if not targets:
        helps = ("add `target NAME { ... }`",)
        scope.fail(error("M3I0126", f"{where} has no target", block.name.span, helps=helps))
    attempts.finish()
    assert represent is not None and encoder is not None, "`attempts` would have failed"
    return Objective(
        name=block.name.text,
        inputs=inputs,
        mix=mix,
        represent=represent,
        encoder=encoder,
        targets=tuple(targets),
        weighting=weighting,
        symmetric=symmetric,
        span=block.name.span,
        settings={keyword: given.values[0].span.to(given.values[-1].span) for keyword, given in found.items()},
    )


def _encodes(encoder: EncoderDeclaration, inputs: tuple[InputReference, ...], place: Span, scope: Scope) -> None:
    """The encoder of the input encodes what the input is."""
    text = isinstance(inputs[0].view, TextField)
    word = encoder.word.word
    if (word.as_text() if text else word.as_image()) is not None:
        return
    wanted = "text" if text else "image"
    others = scope.all("encoder", EncoderDeclaration).values()
    legal = [o.name for o in others if (o.word.word.as_text() if text else o.word.word.as_image()) is not None]
    message = f"the input is {_article(wanted)}, but `{encoder.name}` encodes {word.modality}s"
    secondary = (Label(inputs[0].span, "the input"), Label(encoder.span, "defined here"))
    helps = (f"write `represent dense feature of {legal[0]}`",) if legal else (f"define an encoder of {wanted}s",)
    scope.fail(error("M3I0210", message, place, secondary=secondary, helps=helps))


def _written(found: dict[str, ast.Setting], keyword: str) -> ast.Setting:
    """A setting that takes several values; that it is missing is reported already."""
    if keyword not in found:
        raise Unbound
    return found[keyword]


def _targets(
    block: ast.Objective, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope, attempts: Attempts
) -> list[Target]:
    """The targets, each name once; `inputs` is empty when the input is faulty."""
    names: dict[str, ast.Name] = {}
    targets: list[Target] = []
    for item in block.items:
        if not isinstance(item, ast.Target):
            continue
        name = item.name
        if name.text in names:
            first = Label(names[name.text].span, "first defined here")
            message = f"target `{name.text}` is defined twice"
            scope.report(error("M3I0121", message, name.span, secondary=(first,), helps=("rename one of them",)))
            continue
        names[name.text] = name
        targets.append(attempts(lambda t=item: _target(t, inputs, mixed, scope)))
    return targets


def _target(block: ast.Target, inputs: tuple[InputReference, ...], mixed: bool, scope: Scope) -> Target:
    binder = scope.binder
    where = f"target `{block.name.text}`"
    found = by_keyword(block.settings, _TARGET, _REQUIRED, where, block.name.span, binder.diagnostics)
    attempts = Attempts()

    def setting(name: str) -> ast.Value:
        return single(found, name, binder.diagnostics)

    data = attempts(lambda: target_references(found, inputs, mixed, scope))
    representation, encoder = attempts(lambda: _representation(setting("representation"), scope)) or (None, None)
    predictor: Placed[Predictor] | None = None
    if "predictor" in found:
        predictor = attempts(lambda: binder.word(setting("predictor"), Predictor, "predictor"))
    regularizations = attempts(lambda: _regularizations(setting("regularization"), scope))
    distribution = attempts(lambda: binder.word(setting("distribution"), Distribution, "distribution"))
    pairs: Pairs = "others"
    if "pairs" in found:
        pairs = attempts(lambda: binder.value(setting("pairs"), _PAIRS, "`pairs`"))
    weight, weight_span = 1.0, block.name.span
    if "weight" in found:
        weight_span = found["weight"].values[0].span
        weight = attempts(lambda: binder.value(setting("weight"), PLAIN, "`weight`", Bounds(above=0)))
    attempts.finish()
    assert representation is not None, "`attempts` would have failed"
    if predictor is None:
        same_view = all(sees_input(reference, inputs, mixed, pairs) for reference in data)
        predictor = Placed(representation.word.default_predictor(same_view), block.name.span, {})
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
        settings={keyword: given.values[0].span for keyword, given in found.items()},
        pairs=pairs,
    )


def _regularizations(value: ast.Value, scope: Scope) -> tuple[Placed[Regularization], ...]:
    """The terms of a sum, or the one term; a `param` may hold either."""
    inner = scope.binder.definition(value)
    if inner is not None and isinstance(value, ast.Term):
        held = scope.binder.parameters[value.name]
        if isinstance(held, ast.Sum):
            scope.binder.used.add(value.name)
            value = held
    attempts = Attempts()
    terms = value.terms if isinstance(value, ast.Sum) else (value,)
    words = [attempts(lambda t=term: scope.binder.word(t, Regularization, "regularization")) for term in terms]
    attempts.finish()
    return tuple(words)


# --- representations --------------------------------------------------------------------------------------------------


def _represent(value: ast.Value, scope: Scope) -> tuple[Placed[Representation], EncoderDeclaration]:
    """z_x is all that the encoder yields: what a target makes of it is the business of its predictor."""
    placed, encoder = _representation(value, scope, normalize="none")
    plain = placed.word.as_input()
    if encoder is None or plain is None:
        message = f"the input representation is `dense feature`, found `{placed.word.name}`"
        notes = ("the predictor of each target pools or decodes it",)
        helps = ("write `represent dense feature of ENCODER`",)
        scope.fail(error("M3I0201", message, placed.span, notes=notes, helps=helps))
    for parameter in plain.parameters():
        written, only = (getattr(word, parameter.name) for word in (placed.word, plain))
        if written != only:
            message = f"`{parameter.name}` of `{plain.name}` has no effect on an input representation"
            helps = ("leave it out here, and write it in the `representation` of a target",)
            notes = (f"here it is always `{argument_text(only, parameter.type)}`",)
            scope.report(error("M3I0207", message, placed.argument(parameter.name), notes=notes, helps=helps))
    return placed, encoder


def _representation(
    value: ast.Value, scope: Scope, **role_defaults: str
) -> tuple[Placed[Representation], EncoderDeclaration | None]:
    """`dense feature(...) of ENCODER`."""
    if not isinstance(value, ast.Term):
        scope.fail(error("M3I0201", "expected a representation such as `dense feature of ENCODER`", value.span))
    bare = ast.Term(value.words, value.arguments, value.operand, None, value.by, _without_of(value), value.index)
    placed = scope.binder.word(bare, Representation, "representation", **role_defaults)
    wanted = placed.word.encoder
    if wanted is None:
        if value.of is not None:
            message = f"`{placed.word.name}` is not a representation of an encoder"
            scope.fail(error("M3I0201", message, value.of.span, helps=("leave it out",)))
        return placed, None
    encoders = scope.all("encoder", EncoderDeclaration).values()
    legal = [encoder.name for encoder in encoders if _is_of(encoder, wanted)]
    sort = "an encoder" if wanted == "any" else f"{_article(wanted)} encoder"
    helps = (f"write `{placed.word.name} of {legal[0]}`",) if legal else (f"define {sort}",)
    if value.of is None:
        scope.fail(error("M3I0126", f"`{placed.word.name}` of which encoder?", value.span, helps=helps))
    scope.no_field(value.of, arguments=True)
    encoder = scope.find("encoder", value.of.name, EncoderDeclaration, legal)
    if not _is_of(encoder, wanted):
        message = f"`{placed.word.name}` is of {sort}, but `{encoder.name}` encodes {encoder.word.word.modality}s"
        secondary = (Label(encoder.span, "defined here"),)
        scope.fail(error("M3I0210", message, value.of.name.span, secondary=secondary, helps=helps))
    return placed, encoder


def _is_of(encoder: EncoderDeclaration, wanted: str) -> bool:
    """Whether an encoder encodes what a representation is of."""
    word = encoder.word.word
    return wanted == "any" or (word.as_image() if wanted == "image" else word.as_text()) is not None


def _without_of(value: ast.Term) -> Span:
    """The words and arguments of a representation, without the encoder that it is of."""
    if value.of is None or value.by is not None:
        return value.span
    text = value.span.file.text[value.span.start : value.of.span.start].rstrip()
    return Span(value.span.file, value.span.start, value.span.start + len(text))


def _article(modality: str) -> str:
    return f"{'an' if modality == 'image' else 'a'} {modality}"
