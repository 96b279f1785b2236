"""A run as its folder tells it, while it goes on and after.

Takes: a run folder. Gives: `RunRecord`: what it trains, how it stands, its curves and measurements. Guarantees: whether
it runs is known from its lock and not from a process number; reading changes nothing and needs no torch; a line that is
damaged is left out and said (events.py).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from m3i_dsl.artifact.manifest import COPY, RECIPE
from m3i_dsl.runtime.faults import Notice, TrainingFault
from m3i_dsl.runtime.reporting.events import Event, Events
from m3i_dsl.runtime.run_folder import RunIdentity, holds_run, is_held, read_identity, run_name, stage_path
from m3i_dsl.vocabulary.kinds import LOSS, Measure, recorded_measure

State = Literal["running", "finished", "stopped", "failed"]

METRICS = "metrics.jsonl"


@dataclass(slots=True)
class Series:
    """Values of a measure at steps, ascending; what was not finite is left out."""

    measure: Measure = LOSS
    steps: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])

    def add(self, step: int, value: float | None) -> None:
        if value is not None:
            self.steps.append(step)
            self.values.append(float(value))

    @property
    def best(self) -> tuple[int, float]:
        """(step, value) of the best value, the first of equals."""
        place = self.measure.best(self.values)
        return self.steps[place], self.values[place]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """`total` is None until the run has begun. Times are seconds since 1970; `trained` is the seconds of all starts.

    `restarts` counts the starts that torchrun made by itself, `resumes` those that a user asked for. Rates are medians
    over the logged steps that were read, memory is the most of them, in bytes.
    """

    path: Path
    identity: RunIdentity
    state: State
    reason: str
    step: int
    total: int | None
    epoch: float
    batch: int | None
    world_size: int | None
    device: str | None
    restarts: int
    resumes: int
    started: float
    updated: float
    trained: float
    losses: Mapping[str, Series]
    evaluations: Mapping[str, Series]
    images_per_second: float | None
    mfu: float | None
    data_wait: float | None
    memory: int | None
    warnings: tuple[tuple[int, str, str], ...]
    """(step, code, message)."""
    damage: Notice | None
    """What is said of its record when lines of that are damaged."""

    @property
    def name(self) -> str:
        return run_name(self.path)

    def recipe_text(self) -> str | None:
        """The canonical recipe that it trains, None when its copy is gone."""
        path = self.path / COPY / RECIPE
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def run_folders(runs: Path) -> tuple[list[Path], list[TrainingFault]]:
    """All runs in `runs`, the one that was started last first; of a run of stages, those that were begun, in order.

    Those that cannot be read are behind them, as what is wrong with each.
    """
    found = [path for path in (runs.iterdir() if runs.is_dir() else ()) if holds_run(path)]
    found.sort(key=lambda path: ((path / "run.json").stat().st_mtime_ns, path.name), reverse=True)
    readable: list[Path] = []
    faults: list[TrainingFault] = []
    for path in found:
        try:
            begun = begun_in(path)
            for each in begun:
                read_identity(each)
            readable += begun
        except TrainingFault as fault:
            faults.append(fault)
    return readable, faults


def begun_in(run: Path) -> list[Path]:
    """The folders with records of a run: its own, or those of its stages that were begun. Raises TrainingFault."""
    names = read_identity(run).stages
    return [path for path in (stage_path(run, name) for name in names) if holds_run(path)] if names else [run]


def read_run(path: Path, *, curves: bool = True) -> RunRecord:
    """`curves=False` reads the last logged step only, for a list. Raises TrainingFault (M3I0707)."""
    identity = read_identity(path)
    running = is_held(path)  # before the record: a run that ends meanwhile is then seen to end, not to be killed
    metrics = path / METRICS
    events = Events(metrics, last_steps=not curves)
    records = events.all
    starts = [record for record in records if record["event"] == "start"]
    steps = [record for record in records if record["event"] == "step"]
    state, reason = _state(records, running=running, complete=(path / "summary.json").is_file())
    begun: Mapping[str, Any] = starts[-1] if starts else {}
    last: Mapping[str, Any] = records[-1] if records else {"step": 0, "epoch": 0.0}
    losses, evaluations = _losses(steps), _evaluations(records)
    written = (metrics if metrics.is_file() else path / "run.json").stat().st_mtime
    return RunRecord(
        path=path,
        identity=identity,
        state=state,
        reason=reason,
        step=last["step"],
        total=begun.get("total"),
        epoch=last["epoch"],
        batch=begun.get("batch"),
        world_size=begun.get("world_size"),
        device=begun.get("device"),
        restarts=_restarts(starts),
        resumes=sum(start["restarts"] == 0 for start in starts[1:]),
        started=starts[0]["time"] if starts else (path / "run.json").stat().st_mtime,
        updated=written,
        trained=_seconds(records),
        losses=losses,
        evaluations=evaluations,
        images_per_second=_median(steps, "images_per_second"),
        mfu=_median(steps, "mfu"),
        data_wait=_median(steps, "data_wait"),
        memory=_memory(steps),
        warnings=tuple((r["step"], r["code"], r["message"]) for r in records if r["event"] == "warning"),
        damage=events.damage,
    )


def _state(records: Sequence[Event], *, running: bool, complete: bool) -> tuple[State, str]:
    if running:
        return "running", ""
    lasting = [record for record in records if record["event"] in ("start", "stop")]
    if complete:
        return "finished", "all steps and evaluations"
    if not lasting:
        return "failed", "it ended before its first step"
    if lasting[-1]["event"] == "start":
        return "failed", "it ended without a word: it was killed, or its machine went down"
    status, reason = lasting[-1]["status"], lasting[-1]["reason"]
    # A run that `--max-steps` ended can go on like one that a signal stopped.
    return "failed" if status == "failed" else "stopped", reason


def _losses(steps: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """`total`, then the targets in the order of the recipe."""
    found = {"total": Series()}
    for record in steps:
        found["total"].add(record["step"], record["loss"])
        for name, value in record["losses"].items():
            found.setdefault(name, Series()).add(record["step"], value)
    return {name: series for name, series in found.items() if series.values}


def _evaluations(records: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for record in records:
        if record["event"] == "evaluation":
            measures = record.get("measures") or {}
            for name, value in record["results"].items():
                series = found.setdefault(name, Series(recorded_measure(name, measures.get(name))))
                series.add(record["step"], value)
    return {name: series for name, series in found.items() if series.values}


def _restarts(starts: Iterable[Mapping[str, Any]]) -> int:
    """How often torchrun's agents began again: each counts from 0, and processes may have died before their start."""
    count = previous = 0
    for start in starts:
        now = start["restarts"]
        count += now - previous if now > previous else now
        previous = now
    return count


def _seconds(records: Iterable[Mapping[str, Any]]) -> float:
    """From each start to the last thing that was recorded before the next one."""
    total, began, now = 0.0, None, 0.0
    for record in records:
        if record["event"] == "start":
            total += now - began if began is not None else 0.0
            began = record["time"]
        now = record.get("time", now)
    return total + (now - began if began is not None else 0.0)


def _median(steps: Iterable[Mapping[str, Any]], name: str) -> float | None:
    values = [record[name] for record in steps if record.get(name) is not None]
    return statistics.median(values) if values else None


def _memory(steps: Iterable[Mapping[str, Any]]) -> int | None:
    """The peak of the device, of the host where there is no device."""
    found = [record["memory"] for record in steps if record.get("memory")]
    return max((memory.get("device_peak") or memory["host"] for memory in found), default=None)
