"""What a recipe says of training and of evaluation, typed.

Takes: nothing (semantics/elaborate_training.py builds it). Gives: `Training` and `EvaluationDeclaration`. Guarantees:
no field is filled in later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from m3i_dsl.semantics.placed import Placed
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.kinds import Evaluator, Optimizer, Schedule
from m3i_dsl.vocabulary.values import Clip, Duration


@dataclass(frozen=True, slots=True)
class Training:
    """`train { ... }`. `batch` is the global batch; `clip` the largest gradient norm or None for no clipping."""

    batch: int
    length: Duration
    warmup: Duration
    optimizer: Placed[Optimizer]
    schedule: Placed[Schedule]
    precision: Literal["fp32", "bf16"]
    seed: int
    clip: Clip | None
    span: Span
    settings: Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class EvaluationDeclaration:
    """`knn(k: 20) every 5 epochs`; `every` is None for `at end`."""

    evaluator: Placed[Evaluator]
    every: Duration | None
    span: Span
