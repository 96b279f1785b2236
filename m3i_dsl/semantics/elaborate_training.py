"""Elaboration of the `train` and `evaluate` blocks."""

from __future__ import annotations

from typing import Literal, cast

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics import literals
from m3i_dsl.semantics.bind import Attempts, Unbound, operand_of
from m3i_dsl.semantics.literals import PLAIN, WHOLE
from m3i_dsl.semantics.placed import place_of
from m3i_dsl.semantics.program import Placed
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.settings import by_keyword, single
from m3i_dsl.semantics.training import EvaluationDeclaration, Training
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Evaluator, Optimizer, Schedule, WordError
from m3i_dsl.vocabulary.schedules.cosine import Cosine
from m3i_dsl.vocabulary.values import Clip, Duration, number_text
from m3i_dsl.vocabulary.word import Bounds, ValueType

_LENGTHS = ("epochs", "steps", "samples")
_LEGAL = ("batch", *_LENGTHS, "optimizer", "schedule", "precision", "seed", "clip")
_PRECISION = ValueType("choice", choices=("fp32", "bf16"))


def elaborate_training(block: ast.Train, scope: Scope) -> Training:
    """Defaults that `resolve` prints: `schedule cosine`, `precision fp32`, `seed 0`, no warmup, no clipping (our
    choice).
    """
    binder = scope.binder
    keyword = Span(block.span.file, block.span.start, block.span.start + len("train"))
    found = by_keyword(block.settings, _LEGAL, ("batch", "optimizer"), "`train`", keyword, binder.diagnostics)
    attempts = Attempts()

    def setting(name: str) -> ast.Value:
        return single(found, name, binder.diagnostics)

    batch = attempts(lambda: binder.value(setting("batch"), WHOLE, "`batch`", Bounds(minimum=1)))
    length, warmup = attempts(lambda: _length(found, keyword, scope)) or (Duration(0, "%"), Duration(0, "%"))
    optimizer = attempts(lambda: binder.word(setting("optimizer"), Optimizer, "optimizer"))
    schedule: Placed[Schedule] = Placed(Cosine(), keyword, {})
    if "schedule" in found:
        schedule = attempts(lambda: binder.word(setting("schedule"), Schedule, "schedule"))
    precision: Literal["fp32", "bf16"] = "fp32"
    if "precision" in found:
        precision = attempts(lambda: binder.value(setting("precision"), _PRECISION, "`precision`"))
    seed = 0
    if "seed" in found:
        seed = attempts(lambda: binder.value(setting("seed"), WHOLE, "`seed`", Bounds(minimum=0)))
    clip: Clip | None = None
    if "clip" in found:
        clip = attempts(lambda: _clip(found["clip"], scope))
    attempts.finish()
    spans = {name: given.values[0].span for name, given in found.items()}
    for name, given in found.items():
        if name in _LENGTHS and len(given.values) > 1:
            spans["warmup"] = given.values[1].span
    return Training(batch, length, warmup, optimizer, schedule, precision, seed, clip, block.span, spans)


def _clip(setting: ast.Setting, scope: Scope) -> Clip:
    """`clip 1`, of all gradients together, or `clip 3, per tensor`."""
    norm = scope.binder.value(setting.values[0], PLAIN, "`clip`", Bounds(above=0))
    for extra in setting.values[1:2]:
        if extra.span.text.split() != ["per", "tensor"]:
            message = "`clip` may be followed by `per tensor` only"
            scope.fail(error("M3I0201", message, extra.span, helps=(f"write `clip {number_text(norm)}, per tensor`",)))
    for late in setting.values[2:]:
        scope.report(error("M3I0205", "there is nothing to say after `per tensor`", late.span, "one too many"))
    return Clip(norm, per_tensor=len(setting.values) > 1)


def _length(found: dict[str, ast.Setting], block: Span, scope: Scope) -> tuple[Duration, Duration]:
    """`epochs 30, warmup 10%`: the keyword is the unit of a plain number."""
    lengths = [setting for name, setting in found.items() if name in _LENGTHS]
    helps = ("write one of `epochs N`, `steps N`, `samples N`",)
    if not lengths:
        scope.fail(error("M3I0126", "`train` has no length", block, helps=helps))
    for second in lengths[1:]:
        secondary = (Label(lengths[0].keyword.span, "the first one"),)
        scope.report(error("M3I0125", "`train` has two lengths", second.keyword.span, secondary=secondary, helps=helps))
    setting, binder = lengths[0], scope.binder
    keyword = setting.keyword.text
    unit = cast(Literal["epochs", "steps", "samples"], keyword)
    first, *extras = setting.values
    if isinstance(first, ast.Number) and first.unit in _LENGTHS and first.unit != unit:
        message = f"`{keyword}` counts {keyword}, but the value is {literals.describe(first)}"
        helps = (f"write `{first.unit} {number_text(first.value)}`",)
        scope.fail(error("M3I0202", message, first.span, helps=helps))
    value = binder.value(
        _without_unit(first, unit), WHOLE if unit != "epochs" else PLAIN, f"`{keyword}`", Bounds(above=0)
    )
    length = Duration(float(value), unit)
    if not extras:
        return length, Duration(0, "%")
    extra = extras[0]
    if (
        not isinstance(extra, ast.Term)
        or extra.words[0].text != "warmup"
        or (extra.operand is None) == (len(extra.words) == 1)
    ):
        message = f"`{keyword}` may be followed by `warmup` and its length only"
        scope.fail(error("M3I0201", message, extra.span, helps=("write `warmup 10%`",)))
    for late in extras[1:]:
        scope.report(error("M3I0205", "there is nothing to say after `warmup`", late.span, "one too many"))
    binder.no_extras(extra, "`warmup`", arguments=True, operand=False)
    operand = operand_of(extra)
    definition, inner = binder.definition(operand), binder.parameter(operand)
    plain = operand if inner is None else inner
    if isinstance(plain, ast.Number) and plain.unit == "":
        operand = ast.Number(plain.value, unit, operand.span)
    warmup = binder.duration(operand, "`warmup`")
    if (warmup.unit == unit and warmup.value > value) or (warmup.unit == "%" and warmup.value > 1):
        primary, others = place_of(operand.span, definition)
        secondary = (Label(first.span, "the length"), *others)
        scope.report(error("M3I0203", "`warmup` is longer than training", primary.span, secondary=secondary))
    return length, warmup


def _without_unit(value: ast.Value, unit: str) -> ast.Value:
    """`epochs 30 epochs` says the unit twice, which does no harm."""
    return ast.Number(value.value, "", value.span) if isinstance(value, ast.Number) and value.unit == unit else value


def elaborate_evaluations(block: ast.Evaluate, scope: Scope) -> list[EvaluationDeclaration]:
    """Each evaluation of an `evaluate` block; a faulty one is reported and left out."""
    found: list[EvaluationDeclaration] = []
    for evaluation in block.evaluations:
        try:
            found.append(_evaluation(evaluation, scope))
        except Unbound:
            continue
    return found


def _evaluation(evaluation: ast.Evaluation, scope: Scope) -> EvaluationDeclaration:
    attempts = Attempts()
    evaluator = attempts(lambda: scope.binder.word(evaluation.value, Evaluator, "evaluator"))
    every = None if evaluation.every is None else attempts(lambda: _every(cast(ast.Number, evaluation.every), scope))
    attempts.finish()
    try:
        evaluator.word.check()
    except WordError as fault:
        scope.fail_word(evaluator, fault)
    return EvaluationDeclaration(evaluator, every, evaluation.span)


def _every(node: ast.Number, scope: Scope) -> Duration:
    helps = ("write `every 5 epochs`",)
    if node.unit not in _LENGTHS:
        found = literals.describe(node)
        message = f"`every` is a length in epochs, steps, or samples, but the value is {found}"
        helps = helps if node.unit else (f"write `every {number_text(node.value)} epochs`",)
        scope.fail(error("M3I0202", message, node.span, helps=helps))
    every = scope.binder.duration(node, "`every`")
    if every.value <= 0:
        scope.fail(error("M3I0203", "`every` must be above 0", node.span, f"`{node.span.text}` is not", helps=helps))
    return every
