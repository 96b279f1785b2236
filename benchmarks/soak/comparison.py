"""Whether two runs have trained the same: the checkpoints of one step bit by bit, the records line by line.

Takes: two run folders of the same recipe on the same number of processes. Gives: what differs, in words. Guarantees:
every tensor of every file, all of the state that is no tensor, and every number of a step or an evaluation is compared
but for those that are times, speeds and sizes of memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from benchmarks.soak.run import Run

MEANT = ("loss", "losses", "weights", "learning_rate", "momentum", "gradient_norm", "broken_samples", "monitors")
"""Of a line of `metrics.jsonl` with a step: what the same training has alike."""


def checkpoints(one: Path, other: Path) -> tuple[int, list[str]]:
    """The number of tensors that were compared, and what differs between the checkpoints in two folders."""
    different: list[str] = []
    mine, theirs = _tensors(one), _tensors(other)
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            different.append(f"tensor {name}")
    states = [_state(folder) for folder in (one, other)]
    different += [f"state {key}" for key in sorted(states[0].keys() | states[1].keys()) if _unequal(states, key)]
    return len(mine), different


def records(one: Run, other: Run, last: int) -> tuple[int, list[str]]:
    """The number of lines that were compared, and what differs up to step `last`."""
    different: list[str] = []
    mine, theirs = _lines(one, last), _lines(other, last)
    for kind in ("step", "evaluation"):
        steps = [[step for (event, step), _ in lines if event == kind] for lines in (mine, theirs)]
        if steps[0] != steps[1]:
            twice = sorted({step for step in steps[0] if steps[0].count(step) > 1})
            different.append(f"recorded {kind}s are other ones ({len(steps[0])}, {len(steps[1])}; twice: {twice[:5]})")
    known = dict(theirs)
    for key, values in mine:
        if values != known.get(key):
            different.append(f"{key[0]} {key[1]}: {values} and {known.get(key)}")
    return len(mine), different


def _tensors(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes, str]]:
    """Type, shape, bytes, and the file's description, by file and name."""
    found: dict[str, tuple[str, tuple[int, ...], bytes, str]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "np") as opened:
            described = json.dumps(opened.metadata(), sort_keys=True)
            for name in opened.keys():  # noqa: SIM118  # it is no dictionary
                value = opened.get_tensor(name)
                found[f"{file.name}: {name}"] = str(value.dtype), value.shape, value.tobytes(), described
    return found


def _state(folder: Path) -> dict[str, Any]:
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    plain = state.pop("plain")
    plain.pop("metrics_bytes")  # the record of a run that was disturbed has lines that say so
    return state | plain


def _unequal(states: list[dict[str, Any]], key: str) -> bool:
    return states[0].get(key) != states[1].get(key)


def _lines(run: Run, last: int) -> list[tuple[tuple[str, int], dict[str, Any]]]:
    # The last step is logged because it is the last, by the one that ends there by itself.
    lines = [line for line in run.record() if line["step"] < last]
    return [
        ((line["event"], line["step"]), {key: line.get(key) for key in MEANT} | {"results": line.get("results")})
        for line in lines
        if line["event"] in ("step", "evaluation")
    ]
