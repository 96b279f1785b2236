"""The cases, by name and in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.speed.cases import crops, fusion, latency, losses, methods, runner, sharing, updates
from benchmarks.speed.cases.case import Context
from benchmarks.speed.outcome import Outcome

CASES: Mapping[str, Callable[[Context], Outcome]] = {
    **methods.CASES,
    **sharing.CASES,
    **fusion.CASES,
    **crops.CASES,
    **losses.CASES,
    **updates.CASES,
    **runner.CASES,
    **latency.CASES,
}
