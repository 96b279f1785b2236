"""The record of a run."""

import json
import signal
import time
from pathlib import Path

import pytest

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.reporting.metrics import MetricsLog
from m3i_dsl.runtime.reporting.resources import Arithmetic
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.test_loop import lines
from tests.runtime.tiny import TinyStream, create, raise_signal_at, trainer


def test_lines_are_flushed_and_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.write({"event": "step", "step": 1, "loss": float("nan"), "losses": {"a": float("inf")}, "momentum": [0.5]})
        text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text) == {"event": "step", "step": 1, "loss": None, "losses": {"a": None}, "momentum": [0.5]}


def test_what_was_written_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"step": 1})
        kept = log.position()
        log.write({"step": 2})
    with MetricsLog(path, keep=kept) as log:
        log.write({"step": 2})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_file_that_was_shortened_keeps_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    with MetricsLog(path, keep=1000) as log:
        log.write({"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_resuming_leaves_every_step_once(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=8).run()
        with open(run.metrics, "a") as file:
            file.write('{"event": "step", "step": 10}\n')  # what a killed process wrote after its last checkpoint
    with RunFolder.open(tmp_path / "run") as run:
        trainer(run).run(resume=True)
        steps = [record["step"] for record in lines(run)]
    assert steps == list(range(2, 21, 2))


def test_a_record_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(TrainingFault) as caught:
        MetricsLog(tmp_path / "metrics.jsonl")
    assert caught.value.code == "M3I0706"


def test_starts_and_stops_stay_whatever_checkpoint_a_run_goes_on_from(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.write({"event": "start", "step": 0})
        log.write({"event": "step", "step": 1})
        kept = log.position()
        log.write({"event": "step", "step": 2})
        log.write({"event": "stop", "step": 2, "status": "stopped"})
    with open(path, "a") as file:
        file.write('{"event": "start", "st')  # killed while it wrote
    with MetricsLog(path, keep=kept) as log:
        log.write({"event": "start", "step": 1})
        log.write({"event": "step", "step": 2})
    events = [(record["event"], record["step"]) for record in map(json.loads, path.read_text().splitlines())]
    assert events == [("start", 0), ("step", 1), ("stop", 2), ("start", 1), ("step", 2)]


def test_the_record_says_how_a_run_began_and_ended(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=4).run()
        stream = TinyStream(before=raise_signal_at(6, signal.SIGTERM))
        trainer(run, stream=stream).run(resume=True)
        with pytest.raises(RecipeError):
            trainer(run, stream=TinyStream(poison=9)).run(resume=True)
        trainer(run).run(resume=True)
        records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    starts = [record for record in records if record["event"] == "start"]
    stops = [(record["step"], record["status"], record["reason"]) for record in records if record["event"] == "stop"]
    assert [start["step"] for start in starts] == [0, 4, 7, 9]
    assert {(s["total"], s["batch"], s["world_size"], s["restarts"], s["device"]) for s in starts} == {
        (20, 8, 1, 0, "CPU")
    }
    assert [(step, status) for step, status, _ in stops] == [
        (4, "partial"),
        (7, "stopped"),
        (8, "failed"),
        (20, "finished"),
    ]
    assert stops[0][2] == "`--max-steps 4`" and stops[1][2] == "SIGTERM" and stops[2][2].startswith("M3I0701: ")


def test_a_step_has_what_the_machine_did(tmp_path: Path) -> None:
    arithmetic = Arithmetic(flops_per_sample=10**6, peak=10**9)
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=2, reporting=Reporting(sinks=(), arithmetic=arithmetic)).run()
        (record,) = lines(run)
        (started, *_) = [json.loads(line)["time"] for line in run.metrics.read_text().splitlines()]
    assert record["mfu"] == pytest.approx(record["images_per_second"] * 1e6 / 1e9)
    assert 2**20 < record["memory"]["host"] < 2**40 and record["memory"]["device_peak"] is None
    assert 0 <= record["data_wait"] <= 1 and abs(started - time.time()) < 60


def test_the_share_of_the_time_that_checkpoints_took_is_of_the_whole_run(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=6, checkpoint_every=Duration(4, "steps")).run()
        shares = [record["checkpoint_stall"] for record in lines(run)]
    assert shares[:2] == [0, 0], "a step is logged before its checkpoint"
    assert 0 < shares[2] < 1
