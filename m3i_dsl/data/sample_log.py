"""Which samples each step was made of, as JSON lines.

Takes: batches. Gives: a file with a line for each, and all lines of several processes joined by step. Guarantees: a
line is written at once, so that a process killed at any moment leaves at most half a line, which reading passes over;
a step that was made again after a crash counts as it was made last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from m3i_dsl.data.batch import Batch


class SampleLog:
    """Appends to `path`. `first` is the row of the global batch at which this process's rows begin."""

    def __init__(self, path: Path, first: int = 0) -> None:
        """Raises OSError."""
        self._path, self._first = path, first
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            if path.stat().st_size:
                file.write("\n")  # ends a line that a crash cut off

    def write(self, batch: Batch) -> None:
        """One line: step, epoch, the first row and the samples of the rows. Raises OSError."""
        line = {"step": batch.step, "epoch": batch.epoch, "row": self._first, "samples": batch.samples.tolist()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def log_path(path: Path, rank: int, world: int) -> Path:
    """`path` itself for one process; among several each has a file of its own."""
    return path if world == 1 else path.with_name(f"{path.name}.{rank}")


def logged(paths: Iterable[Path]) -> dict[int, list[int]]:
    """The samples of each step in row order, from the files of all processes. Raises OSError."""
    rows: dict[int, dict[int, list[int]]] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = _parsed(line)
            if found is not None:
                rows.setdefault(found["step"], {})[found["row"]] = found["samples"]
    return {step: [s for row in sorted(parts) for s in parts[row]] for step, parts in sorted(rows.items())}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"step", "row", "samples"} <= found.keys() else None
