"""Elaboration of the `train` and `evaluate` blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from m3i_dsl.diagnostics import Label, error
from m3i_dsl.semantics.bind import Unbound
from m3i_dsl.semantics.program import EvaluationDeclaration, Placed, Training
from m3i_dsl.semantics.scope import Scope
from m3i_dsl.semantics.settings import by_keyword, single
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Evaluator, Optimizer, Schedule
from m3i_dsl.vocabulary.schedules.cosine import Cosine
from m3i_dsl.vocabulary.values import Duration, Quantity
from m3i_dsl.vocabulary.word import Bounds, ValueType

_LENGTHS = ("epochs", "steps", "samples")
_LEGAL = ("batch", *_LENGTHS, "optimizer", "schedule", "precision", "seed", "clip")
_WHOLE = ValueType("number", Quantity("", whole=True))
_PLAIN = ValueType("number", Quantity(""))
_PRECISION = ValueType("choice", choices=("fp32", "bf16"))


def elaborate_training(block: ast.Train, scope: Scope) -> Training:
    """Defaults that `resolve` prints: `schedule cosine`, `precision fp32`, `seed 0`, no warmup, no clipping (our choice)."""
    binder = scope.binder
    found = by_keyword(block.settings, _LEGAL, ("batch", "optimizer"), "`train`", block.span, binder.diagnostics)
    lengths = [found[keyword] for keyword in _LENGTHS if keyword in found]
    if len(lengths) != 1:
        message = "`train` has no length" if not lengths else "`train` has two lengths"
        where = block.span if not lengths else lengths[1].keyword.span
        scope.report(error("M3I0126", message, where, helps=("write one of `epochs N`, `steps N`, `samples N`",)))
    if not lengths or "batch" not in found or "optimizer" not in found:
        raise Unbound
    batch = binder.value(single(found["batch"], binder.diagnostics), _WHOLE, "`batch`", Bounds(minimum=1))
    length, warmup = _length(lengths[0], scope)
    optimizer = binder.word(single(found["optimizer"], binder.diagnostics), Optimizer, "optimizer")
    schedule: Placed[Schedule] = Placed(Cosine(), block.span, {})
    if "schedule" in found:
        schedule = binder.word(single(found["schedule"], binder.diagnostics), Schedule, "schedule")
    precision: Literal["fp32", "bf16"] = "fp32"
    if "precision" in found:
        precision = binder.value(single(found["precision"], binder.diagnostics), _PRECISION, "`precision`")
    seed = 0
    if "seed" in found:
        seed = binder.value(single(found["seed"], binder.diagnostics), _WHOLE, "`seed`", Bounds(minimum=0))
    clip: float | None = None
    if "clip" in found:
        clip = binder.value(single(found["clip"], binder.diagnostics), _PLAIN, "`clip`", Bounds(above=0))
    spans = {keyword: setting.values[0].span for keyword, setting in found.items()}
    return Training(batch, length, warmup, optimizer, schedule, precision, seed, clip, block.span, spans)


def _length(setting: ast.Setting, scope: Scope) -> tuple[Duration, Duration]:
    """`epochs 30, warmup 10%`: the keyword is the unit of a plain number."""
    binder = scope.binder
    keyword = setting.keyword.text
    unit = cast(Literal["epochs", "steps", "samples"], keyword)
    first = setting.values[0]
    if isinstance(first, ast.Number) and first.unit == keyword:
        first = ast.Number(first.value, "", first.span)
    value = binder.value(first, _WHOLE if unit != "epochs" else _PLAIN, f"`{keyword}`", Bounds(above=0))
    warmup = Duration(0, "%")
    for extra in setting.values[1:]:
        is_warmup = isinstance(extra, ast.Term) and extra.name == "warmup" and extra.operand is not None
        if not is_warmup:
            scope.fail(
                error("M3I0201", f"`{keyword}` is followed by `warmup` only", extra.span, helps=("write `warmup 10%`",))
            )
        assert isinstance(extra, ast.Term) and extra.operand is not None
        operand = extra.operand
        if operand.unit == "":
            operand = ast.Number(operand.value, keyword, operand.span)
        warmup = binder.duration(operand, "`warmup`")
        if (warmup.unit == unit and warmup.value > value) or (warmup.unit == "%" and warmup.value > 1):
            where = Label(first.span, "the length")
            scope.fail(error("M3I0203", "`warmup` is longer than training", operand.span, secondary=(where,)))
    return Duration(float(value), unit), warmup


def elaborate_evaluations(block: ast.Evaluate, scope: Scope) -> Iterator[EvaluationDeclaration]:
    """Each evaluation of an `evaluate` block; a faulty one is reported and left out."""
    for evaluation in block.evaluations:
        try:
            evaluator = scope.binder.word(evaluation.value, Evaluator, "evaluator")
            every = None if evaluation.every is None else scope.binder.duration(evaluation.every, "`every`")
            if every is not None and (every.unit == "%" or every.value <= 0):
                assert evaluation.every is not None
                message = "`every` is a length in epochs, steps or samples"
                scope.fail(error("M3I0202", message, evaluation.every.span, helps=("write `every 5 epochs`",)))
            yield EvaluationDeclaration(evaluator, every, evaluation.span)
        except Unbound:
            continue
