"""The record of a run: `metrics.jsonl`.

Takes: one mapping for each event. Gives: one JSON line each, flushed at once. Guarantees: rank 0 alone writes; the
file is cut back to where it was at the resumed checkpoint, so no step is in it twice, but starts and stops stay; a
number that is not finite is `null`. docs/runs.md has the meaning of each field.

    {"event": "start", "time": ..., "step": 0, "epoch": 0.0, "total": 2200, "batch": 128, "world_size": 8,
     "restarts": 0, "device": "NVIDIA H100 80GB HBM3"}
    {"event": "step", "time": ..., "step": 40, "epoch": 1.25, "loss": ..., "losses": {"m3i.intra": ...},
     "weights": {...}, "learning_rate": ..., "momentum": [...], "gradient_norm": ..., "broken_samples": 0,
     "images_per_second": ..., "mfu": ..., "data_wait": ..., "checkpoint_stall": ...,
     "memory": {"host": ..., "device_peak": ...}, "monitors": {...},
     "learned": {"clip.caption.temperature": 0.069}}
    {"event": "evaluation", "time": ..., "step": 160, "epoch": 5.0, "results": {"knn.accuracy": ...},
     "measures": {"knn.accuracy": {"name": "accuracy", "unit": "%", "better": "higher"}}}
    {"event": "warning", "time": ..., "step": 160, "epoch": 5.0, "code": "M3I0710", "message": "...", "rank": 0}
    {"event": "stop", "time": ..., "step": 2200, "epoch": 68.75, "status": "finished", "reason": "..."}
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from m3i_dsl.runtime.faults import cannot_write
from m3i_dsl.vocabulary.kinds import Score

LASTING = ("start", "stop")
"""Events that happened, whatever checkpoint a run goes on from."""


class MetricsLog(AbstractContextManager["MetricsLog"]):
    """Appends to `path` from byte `keep` on; steps after it are computed again."""

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        self._path = path
        self._file = _open(path, keep)

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises TrainingFault (M3I0706)."""
        line = json.dumps(_finite(record), allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as problem:
            raise cannot_write(f"`{self._path}`", problem) from problem

    def position(self) -> int:
        """The length of the file, made durable: what a checkpoint keeps."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as problem:
            raise cannot_write(f"`{self._path}`", problem) from problem
        return self._path.stat().st_size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def recorded_scores(results: Mapping[str, Score]) -> dict[str, Any]:
    """The fields of an evaluation: `results`, the numbers by name, and `measures`, what each of them means."""
    return {
        "results": {name: score.value if math.isfinite(score.value) else None for name, score in results.items()},
        "measures": {name: score.measure.plain() for name, score in results.items()},
    }


def scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a record as other tools name them: `loss`, `losses/m3i.intra`, `results/knn.accuracy`."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key not in ("time", "step", "epoch"):
            yield f"{prefix}{key}", float(value)


def _open(path: Path, keep: int) -> Any:
    try:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  # closed by the log
        content = path.read_bytes()
        kept, cut = content[:keep], content[keep:]
        if not kept.endswith(b"\n"):
            # Someone shortened it. A line without its end must not run into the next.
            kept = kept[: kept.rfind(b"\n") + 1]
        os.truncate(path, len(kept))
        file.writelines(line for line in cut.decode("utf-8", "replace").splitlines(keepends=True) if _lasts(line))
        file.flush()
        return file
    except OSError as problem:
        raise cannot_write(f"`{path}`", problem) from problem


def _lasts(line: str) -> bool:
    """Whether a line is that of an event in LASTING. The last one may be half-written."""
    if not line.endswith("\n"):
        return False
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("event") in LASTING


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
