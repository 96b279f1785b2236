"""The record of a run as panels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from m3i_dsl.evaluation.history import history, read_history
from m3i_dsl.runtime.reporting.metrics import MetricsLog, recorded_scores
from m3i_dsl.vocabulary.kinds import Measure, Score


def common(event: str, step: int) -> dict[str, Any]:
    return {"event": event, "time": 0.0, "step": step, "epoch": 0.0}


def record(path: Path) -> None:
    with MetricsLog(path) as log:
        for step, speed in ((10, 100.0), (20, 300.0), (30, 200.0)):
            monitors = {
                "m3i.intra/prediction/spread": 0.5,
                "m3i.intra/target/spread": 0.9,
                "m3i/input/spread": 0.7,
                "m3i.intra/alignment": 0.1,
            }
            log.write(
                {
                    **common("step", step),
                    "loss": 1.0,
                    "losses": {"m3i.intra": 1 / step, "m3i.inter": math.inf if step == 20 else 2.0},
                    "images_per_second": speed,
                    "data_wait": 0.25,
                    "monitors": monitors if step == 20 else {},
                }
            )
        for step in (0, 30):
            log.write({**common("evaluation", step), "results": {"knn.accuracy": 0.5 + step / 100}})
        log.write({**common("warning", 20), "code": "M3I0710", "message": "`m3i.intra` is collapsing"})


def test_panels_of_a_run(tmp_path: Path) -> None:
    record(tmp_path / "metrics.jsonl")
    read = read_history(tmp_path / "metrics.jsonl")
    intra, inter = read.target_panels()
    assert (intra.title, list(intra.curves[0].x)) == ("m3i.intra", [10, 20, 30])
    assert [math.isfinite(value) for value in inter.curves[0].y] == [True, False, True]
    (progress,) = read.progress_panels({"knn.accuracy": (0.4, "untrained")})
    assert (progress.title, progress.y_label) == (
        "knn accuracy",
        "%",
    )  # a record without measures: shares by their name
    assert list(progress.curves[0].y) == [50.0, 80.0]
    assert progress.reference == ((40.0, "untrained"),)
    throughput, wait = read.speed_panels()
    assert list(throughput.curves[0].y) == [100.0, 300.0, 200.0]
    assert list(wait.curves[0].y) == [25.0] * 3
    assert read.mean_speed == 200.0
    assert read.warnings == ("step 20: `m3i.intra` is collapsing",)


def test_monitors_share_colours_by_target(tmp_path: Path) -> None:
    record(tmp_path / "metrics.jsonl")
    spread, alignment = read_history(tmp_path / "metrics.jsonl").monitor_panels()
    assert [(c.name, c.colour, c.dashed) for c in spread.curves] == [
        ("m3i.intra", 1, True),
        ("m3i.intra", 1, False),
        ("m3i", 0, False),
    ]
    assert [(c.name, c.colour) for c in alignment.curves] == [("m3i.intra", 1)]


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    record(path)
    whole = read_history(path)
    with path.open("a") as file:
        file.write(json.dumps({"event": "step", "step": 40, "losses": {}})[:-4])
    assert read_history(path).losses["m3i.intra"].x == whole.losses["m3i.intra"].x
    assert read_history(path).warnings == whole.warnings


def test_a_damaged_line_is_among_the_warnings(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    record(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1].replace('"losses"', '"lxsses"'), *lines[2:]]))
    damaged = read_history(path)
    assert damaged.losses["m3i.intra"].x == [10, 30]
    assert damaged.warnings[-1] == f"`{path}`, line 2: `step` has no `losses`"


def test_no_record_gives_no_panels(tmp_path: Path) -> None:
    read = read_history(tmp_path / "metrics.jsonl")
    assert read.target_panels() == read.speed_panels() == read.monitor_panels() == ()
    assert read.mean_speed == 0.0


def test_a_measure_keeps_its_unit_and_direction() -> None:
    surprise = Measure("surprise", "nats", "lower")
    records = [
        {"event": "evaluation", "step": step, **recorded_scores({"mine.surprise": Score(1 / step, surprise)})}
        for step in (1, 2)
    ]
    (progress,) = history(records).progress_panels({"mine.surprise": (2.0, "untrained")})
    assert (progress.title, progress.y_label) == ("mine surprise", "nats, lower is better")
    assert list(progress.curves[0].y) == [1.0, 0.5]
    assert progress.reference == ((2.0, "untrained"),)
