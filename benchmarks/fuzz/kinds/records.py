"""Records of runs: metrics.jsonl, summary.json and what reads them."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.fuzz.kind import COUNTED, EQUAL, OTHER, REFUSALS, Finding, Kind, refused
from benchmarks.fuzz.mutations import changed_bytes, changed_json
from m3i_dsl.cli.main import main
from m3i_dsl.evaluation.history import read_history
from m3i_dsl.runtime.faults import DAMAGED_RECORD
from m3i_dsl.runtime.reporting.metrics import MetricsLog
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity

STEPS = 12

COMMANDS = (
    ("show", "damaged-1", "--json"), (), ("--json",), ("show", "damaged-1"), ("show", "damaged-1", "whole-1"),
)  # fmt: skip


class Records(Kind):
    """`m3ic runs` shows a run whatever its record holds, or says of it what cannot be read; so does the report."""

    name = "metrics"
    what = "lines of metrics.jsonl, and summary.json"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.runs = folder / "runs"
        for name in ("damaged-1", "whole-1"):
            identity = RunIdentity(name.partition("-")[0], "f" * 64, {"torch": "2"})
            with RunFolder.create(self.runs / name, identity) as run, MetricsLog(run.metrics) as log:
                for line in lines():
                    log.write(line)
                run.summary.write_text(json.dumps({"results": {}}))
        self.run = self.runs / "damaged-1"
        self.files = {path: path.read_bytes() for path in (self.run / "metrics.jsonl", self.run / "summary.json")}
        self._dated()
        self.before = {words: self._shown(words) for words in COMMANDS}

    def case(self, chance: random.Random) -> str:
        path = self.run / ("metrics.jsonl" if chance.random() < 0.9 else "summary.json")
        content = self.files[path]
        path.write_bytes(self._changed(chance, path, content))
        self._dated()
        shown = (COMMANDS[0], chance.choice(COMMANDS[1:]))
        try:
            after = {words: self._shown(words) for words in shown}
            self._continued(chance)
        except REFUSALS as fault:
            return refused(fault)
        finally:
            for one, stored in self.files.items():
                one.write_bytes(stored)
        if all(after[words] == self.before[words] for words in shown):
            return EQUAL
        return COUNTED if DAMAGED_RECORD in after[COMMANDS[0]] else OTHER

    def _dated(self) -> None:
        """The commands show when a file was written."""
        for path in self.files:
            os.utime(path, (1.7e9, 1.7e9))

    def _changed(self, chance: random.Random, path: Path, content: bytes) -> bytes:
        if path.name == "summary.json" or chance.random() < 0.4:
            return changed_bytes(chance, content)
        written = content.decode().splitlines(keepends=True)
        place = chance.randrange(len(written))
        written[place] = changed_json(chance, written[place]) + "\n"
        return "".join(written).encode(errors="surrogatepass")

    def _shown(self, words: tuple[str, ...]) -> str:
        """What a command prints."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["runs", *words, "--in", str(self.runs)])
        if code not in (0, 1) or "M3I09" in err.getvalue():
            raise Finding(f"`m3ic runs {' '.join(words)}` ends with {code}: {err.getvalue().strip().splitlines()[-3:]}")
        if "show" not in words and "whole-1" not in out.getvalue():
            raise Finding("a damaged run hides another one")
        if "--json" in words:
            json.loads(out.getvalue(), parse_constant=_no_constant)
        return out.getvalue() + err.getvalue()

    def _continued(self, chance: random.Random) -> None:
        """As the report reads it, and as a run that goes on does."""
        path = self.run / "metrics.jsonl"
        history = read_history(path)
        panels = (history.target_panels(), history.speed_panels(), history.monitor_panels())
        for panel in (*history.progress_panels({}), *(panel for some in panels for panel in some)):
            for curve in panel.curves:
                if len(curve.x) != len(curve.y):
                    raise Finding("a curve has not as many values as steps")
        if not math.isfinite(history.mean_speed):
            raise Finding("the mean speed is no number")
        copy = path.with_name("continued.jsonl")
        shutil.copy(path, copy)
        with MetricsLog(copy, keep=chance.choice((0, 100, copy.stat().st_size, 2 * copy.stat().st_size))) as log:
            log.write(lines()[-1])
        last = copy.read_bytes().splitlines()[-1]
        copy.unlink()
        if json.loads(last)["event"] != "stop":
            raise Finding("a line that was written after the damage runs into another")


def lines() -> list[dict[str, Any]]:
    """The record of a short run."""
    at = {"time": 1.7e9, "step": 0, "epoch": 0.0}
    found: list[dict[str, Any]] = [
        {"event": "start", **at, "total": STEPS, "batch": 8, "world_size": 1, "restarts": 0, "device": "cpu"}
    ]
    for step in range(1, STEPS + 1):
        now = {"time": 1.7e9 + step, "step": step, "epoch": step / 4}
        found.append(
            {"event": "step", **now, "loss": 1 / step, "losses": {"m3i.intra": 0.5 / step, "m3i.inter": 0.5 / step},
             "weights": {"m3i.intra": 1.0, "m3i.inter": 1.0}, "learning_rate": 1e-3, "momentum": [0.99],
             "gradient_norm": 1.0, "broken_samples": 0, "images_per_second": 100.0 + step, "mfu": None,
             "data_wait": 0.01, "checkpoint_stall": 0.0, "memory": {"host": 10**9, "device_peak": 0},
             "monitors": {"m3i.inter/target/spread": 0.5, "m3i.inter/prediction/effective_rank": 3.0}}
        )  # fmt: skip
        if step % 4 == 0:
            measures = {"knn.accuracy": {"name": "accuracy", "unit": "%", "better": "higher"}}
            found.append({"event": "evaluation", **now, "results": {"knn.accuracy": step / 100}, "measures": measures})
    end = {"time": 1.7e9 + STEPS + 1, "step": STEPS, "epoch": STEPS / 4}
    found.append({"event": "warning", **end, "code": "M3I0710", "message": "m3i.inter has collapsed", "rank": 0})
    found.append({"event": "stop", **end, "status": "finished", "reason": "all steps"})
    return found


def _no_constant(name: str) -> float:
    raise Finding(f"`--json` prints {name}, which is no JSON")
