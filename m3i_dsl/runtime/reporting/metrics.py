"""The record of a run: `metrics.jsonl`, and TensorBoard when it is installed.

Takes: one mapping for each logged step or evaluation. Gives: one JSON line each, flushed at once. Guarantees: the
file is cut back to where it was at the resumed checkpoint, so no step is in it twice; a number that is not finite is
`null`.

    {"event": "step", "step": 40, "epoch": 1.25, "loss": ..., "losses": {"m3i.intra": ...}, "weights": {...},
     "learning_rate": ..., "momentum": [...], "gradient_norm": ..., "broken_samples": 0, "images_per_second": ...,
     "data_wait": ..., "monitors": {...}}
    {"event": "evaluation", "step": 160, "epoch": 5.0, "results": {"knn.accuracy": ...}}
    {"event": "warning", "step": 160, "epoch": 5.0, "code": "M3I0710", "message": "..."}
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from m3i_dsl.runtime.faults import cannot_write


class MetricsLog(AbstractContextManager["MetricsLog"]):
    """Appends to `path` from byte `keep` on; what was after it belongs to steps that are computed again."""

    def __init__(self, path: Path, *, keep: int = 0, tensorboard: Path | None = None, first_step: int = 0) -> None:
        self._path = path
        self._file = _open(path, keep)
        self._writer = _summary_writer(tensorboard, first_step) if tensorboard is not None else None

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises TrainingFault (M3I0706)."""
        line = json.dumps(_finite(record), allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as problem:
            raise cannot_write(f"`{self._path}`", problem) from problem
        if self._writer is not None:
            for tag, value in _scalars(record):
                self._writer.add_scalar(tag, value, record["step"])

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
        if self._writer is not None:
            self._writer.close()


def _open(path: Path, keep: int) -> Any:
    try:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  # closed by the log
        size = path.stat().st_size
        os.truncate(path, min(size, keep))
        if size < keep:
            # Someone shortened it. A line without its end must not run into the next.
            text = path.read_bytes()
            os.truncate(path, text.rfind(b"\n") + 1)
        return file
    except OSError as problem:
        raise cannot_write(f"`{path}`", problem) from problem


def _summary_writer(folder: Path, first_step: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, float) and key != "epoch":
            yield f"{prefix}{key}", value
