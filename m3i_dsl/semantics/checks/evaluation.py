"""Evaluation: an evaluator finds the fields and encoders that it measures with."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, error
from m3i_dsl.semantics.program import Program


def check_evaluation(program: Program) -> Iterator[Diagnostic]:
    modalities = {modality for data in program.data.values() for modality in data.fields.values()}
    has_text_target = any(t.representation.word.form == "texts" for o in program.objectives for t in o.targets)
    for evaluation in program.evaluations:
        word = evaluation.evaluator.word
        missing = sorted(word.needs - modalities)
        if missing:
            message = f"`{word.name}` needs {' and '.join(missing)}, which no data has"
            yield error("M3I0317", message, evaluation.evaluator.span, helps=("leave it out, or name the field in the source",))
        elif word.name == "zero_shot" and not has_text_target:
            message = "`zero_shot` compares images with texts, but no target is a text embedding"
            yield error("M3I0317", message, evaluation.evaluator.span, helps=("leave it out, or add a text target",))
