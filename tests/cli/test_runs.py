"""`m3ic runs` on run folders as training leaves them: the screens, and how a run stands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from m3i_dsl.artifact.difference import changed_lines
from m3i_dsl.cli.main import main
from m3i_dsl.cli.runs_text import shortened
from m3i_dsl.runtime.reporting.record import read_run
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, is_held

NOW = 1_800_000_000.0
RECIPE = """\
m3i 1
recipe tiny

encoder image = vit(width: 16, depth: 1, heads: 2, patch: 4px)

objective mim {
  target pixels {
    predictor      decoder(layers: 1)
    regularization none
  }
}
"""

KILLED = "it ended without a word: it was killed, or its machine went down"


def start(at: float, step: int = 0, restarts: int = 0) -> dict[str, Any]:
    devices = {"world_size": 8, "device": "NVIDIA H200"}
    return {"event": "start", "time": NOW + at, "step": step, "epoch": step / 10, "total": 40, "batch": 128} | {
        "restarts": restarts,
        **devices,
    }


def step(at: float, number: int, loss: float | None) -> dict[str, Any]:
    return {
        "event": "step",
        "time": NOW + at,
        "step": number,
        "epoch": number / 10,
        "loss": loss,
        "losses": {"mim.pixels": loss},
        "images_per_second": 1000.0 + number,
        "mfu": 0.41,
        "data_wait": 0.02,
        "memory": {"host": 2**30, "device_peak": 61 * 2**30},
    }


def measured(at: float, number: int, accuracy: float) -> dict[str, Any]:
    results = {"knn.accuracy": accuracy}
    return {"event": "evaluation", "time": NOW + at, "step": number, "epoch": number / 10, "results": results}


def stop(at: float, number: int, status: str, reason: str) -> dict[str, Any]:
    return {"event": "stop", "time": NOW + at, "step": number, "epoch": number / 10, "status": status, "reason": reason}


FINISHED = (
    start(0),
    step(10, 10, 4.0),
    measured(12, 10, 0.5),
    step(20, 20, 2.0),
    measured(22, 20, 0.91),
    start(100, 20, restarts=1),
    {"event": "warning", "time": NOW + 105, "step": 20, "epoch": 2.0, "code": "M3I0740", "message": "it [waits]"},
    step(110, 30, 1.0),
    step(120, 40, 1.0),
    measured(122, 40, 0.9),
    stop(123, 40, "finished", "all steps and evaluations"),
)
STOPPED = (start(0), step(10, 10, 3.0), step(20, 20, 1.5), measured(21, 20, 0.8), stop(21, 20, "stopped", "SIGTERM"))


def made(name: str, records: tuple[Mapping[str, Any], ...], recipe: str = RECIPE, *, complete: bool = False) -> Path:
    """A run folder in `runs`, as old as the order in which they are made."""
    path = Path("runs", name)
    with RunFolder.create(path, RunIdentity("tiny", name[0] * 64, {"m3ic": "0.1.0", "torch": "2.14.1"})):
        (path / "artifact").mkdir()
        (path / "artifact/recipe.canonical.m3i").write_text(recipe, encoding="utf-8")
        (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        if complete:
            (path / "summary.json").write_text("{}", encoding="utf-8")
    order = len(list(Path("runs").iterdir()))
    os.utime(path / "run.json", (NOW + order, NOW + order))
    return path


@pytest.fixture(autouse=True)
def at_a_time_and_place(tmp_path: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("TZ", "UTC")
        time.tzset()
        patch.setattr(time, "time", lambda: NOW + 3720)
        yield
    time.tzset()


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Standard output, with rules of any length as three characters."""
    assert main(["runs", *arguments]) == 0
    return re.sub("\u2500{3,}", 3 * "\u2500", capsys.readouterr().out)


def test_the_list_has_the_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    made("a-1", FINISHED, complete=True)
    made("b-1", STOPPED)
    made("c-1", (start(0), step(10, 10, None)))
    made("d-1", ())
    assert shown(capsys) == LIST
    document = json.loads(shown(capsys, "--json"))
    assert [(run["name"], run["state"], run["step"]) for run in document] == [
        ("d-1", "failed", 0),
        ("c-1", "failed", 10),
        ("b-1", "stopped", 20),
        ("a-1", "finished", 40),
    ]
    assert document[3]["evaluations"] == {
        "knn.accuracy": {
            "measure": {"name": "accuracy", "unit": "%", "better": "higher"},
            "last": 0.9,
            "best": 0.91,
            "best_step": 20,
        }
    }
    assert document[3]["losses"] == {"total": 1.0, "mim.pixels": 1.0} and document[1]["losses"] == {}
    assert (document[3]["restarts"], document[3]["resumes"], document[3]["trained_seconds"]) == (1, 0, 45.0)


LIST = """\
run   recipe   state       step   loss   best evaluation      restarts     age
\u2500\u2500\u2500
d-1   tiny     failed                                                    1h01m
c-1   tiny     failed     10/40                                          1h02m
b-1   tiny     stopped    20/40    1.5   knn.accuracy 80.0%              1h02m
a-1   tiny     finished   40/40      1   knn.accuracy 91.0%          1   1h02m
"""


def test_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    made("a-1", FINISHED, complete=True)
    assert shown(capsys, "show", "a-1") == ONE
    assert shown(capsys, "show", "runs/a-1") == ONE, "a folder is as good as a name"
    document = json.loads(shown(capsys, "show", "a-1", "--json"))
    assert document["losses"]["total"] == {"steps": [10, 20, 30, 40], "values": [4.0, 2.0, 1.0, 1.0]}


ONE = """\
a-1   finished at step 40 of 40
recipe    tiny  aaaaaaaaaaaa
folder    runs/a-1
started   2027-01-15 08:00, trained for 45s
devices   8 x NVIDIA H200, batch 128
again     restarted once
speed     1025 images/s  MFU 41%  memory 61.0 GiB  data wait 2%
versions  m3ic 0.1.0  torch 2.14.1

loss          first     last   course
\u2500\u2500\u2500
total        4.0000   1.0000   \u2588\u2583\u2581\u2581
mim.pixels   4.0000   1.0000   \u2588\u2583\u2581\u2581

evaluation      last    best   at step   course
\u2500\u2500\u2500
knn.accuracy   90.0%   91.0%        20   \u2581\u2588\u2588

step 20  warning[M3I0740]: it [waits]
"""


def test_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    made("a-1", FINISHED, complete=True)
    changed = RECIPE.replace("width: 16", "width: 32").replace("    regularization none\n", "")
    made("b-1", STOPPED, changed)
    assert shown(capsys, "show", "a-1", "b-1") == TWO
    document = json.loads(shown(capsys, "show", "--json", "a-1", "b-1"))
    assert [run["name"] for run in document["runs"]] == ["a-1", "b-1"]
    assert document["recipe"][1] == {
        "where": "objective mim > target pixels",
        "before": "regularization none",
        "after": None,
    }
    made("a-2", STOPPED)
    assert "both train the same program" in shown(capsys, "show", "a-1", "a-2")
    made("c-1", STOPPED)
    assert "the recipes are the same; data, files or versions differ" in shown(capsys, "show", "a-1", "c-1")


TWO = """\
                  a-1                             b-1
\u2500\u2500\u2500
recipe            tiny                            tiny
state             finished at step 40 of 40       stopped at step 20 of 40 (SIGTERM)
devices           8 x NVIDIA H200, batch 128      8 x NVIDIA H200, batch 128
trained for       45s                             21s                                  0.47 x
images/s          1025                            1015                                 0.99 x
memory            61.0 GiB                        61.0 GiB                             1.00 x
MFU               41%                             41%
data wait         2%                              2%
loss total        1.0000                          1.5000
loss mim.pixels   1.0000                          1.5000
knn.accuracy      90.0% (best 91.0% at step 20)   80.0%                                -10.0 points

what differs in the recipe  -a-1 +b-1
  recipe
    - encoder image = vit(width: 16, ...
    + encoder image = vit(width: 32, ...
  objective mim > target pixels
    - regularization none
"""


def test_whether_it_runs_is_known_from_its_lock(capsys: pytest.CaptureFixture[str]) -> None:
    path = made("a-1", (start(0), step(10, 10, 3.0)))
    assert read_run(path).reason == KILLED
    with RunFolder.open(path):
        assert is_held(path) and read_run(path).state == "running"
        assert "running at step 10 of 40" in shown(capsys, "show", "a-1")
    assert not is_held(path)
    with RunFolder.open(path):
        pass  # looking has left no lock behind


@pytest.mark.parametrize(
    ("records", "complete", "state", "reason"),
    [
        (STOPPED, False, "stopped", "SIGTERM"),
        ((start(0), stop(1, 4, "partial", "`--max-steps 4`")), False, "stopped", "`--max-steps 4`"),
        ((start(0), stop(1, 4, "failed", "M3I0701: a")), False, "failed", "M3I0701: a"),
        (
            (*STOPPED, start(30, 20)),
            False,
            "failed",
            "it ended without a word: it was killed, or its machine went down",
        ),
        (FINISHED[:-1], True, "finished", "all steps and evaluations"),
        ((), False, "failed", "it ended before its first step"),
    ],
)
def test_how_a_run_stands(records: tuple[Any, ...], complete: bool, state: str, reason: str) -> None:
    record = read_run(made("a-1", records, complete=complete))
    assert (record.state, record.reason) == (state, reason)


def test_a_step_that_is_computed_again_is_where_the_run_is() -> None:
    """It stopped at step 20, went on from the checkpoint of step 10, and is at step 12 now."""
    path = made("a-1", (start(0), step(10, 10, 3.0), stop(20, 20, "failed", "a"), start(30, 10), step(31, 12, 2.0)))
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"event": "from the future", "step": 12, "epoch": 1.2}\n{"event": "step", "st')
    record = read_run(path)
    assert (record.step, record.resumes, record.restarts, record.trained) == (12, 1, 0, 21.0)
    assert read_run(path, curves=False).losses["total"].values[-1] == 2.0


def test_restarts_are_counted_over_all_agents() -> None:
    """The first agent began again twice, once before anything was recorded; a second one, and once more."""
    starts = [start(0, restarts=1), start(1, restarts=2), start(2), start(3, restarts=1)]
    record = read_run(made("a-1", tuple(starts)))
    assert (record.restarts, record.resumes) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "a-2"], "there is no run `a-2` in `runs`; did you mean `a-1`?"),
        (["show", "a-1", "zzz"], "there is no run `zzz` in `runs`; `m3ic runs` lists those that there are"),
        (["show", "a-1", "a-1", "a-1"], "`m3ic runs show` takes one run or two, not 3"),
    ],
)
def test_wrong_use(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    made("a-1", FINISHED)
    assert main(["runs", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_no_run_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--in", "elsewhere"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "there is no run in `elsewhere` yet: start one with `m3ic train`\n"
    assert json.loads(shown(capsys, "--in", "elsewhere", "--json")) == []


def test_of_a_changed_line_only_what_changed_is_shown() -> None:
    old = 'encoder image = timm(model: "vit", image: 16px, patch: 4px, width: 16, depth: 1, heads: 2)'
    assert shortened(old, old.replace("16,", "32,")) == (
        'encoder image = timm(model: "vit", ... width: 16, ...',
        'encoder image = timm(model: "vit", ... width: 32, ...',
    )
    assert shortened("batch 128", "batch 256") == ("batch 128", "batch 256")
    assert list(changed_lines(RECIPE, RECIPE + "\n# a comment\n")) == []


# --- `m3ic train --log-to` --------------------------------------------------------------------------------------------


def test_a_tool_that_is_not_installed_is_told_before_anything_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("wandb", "mlflow"):
        if importlib.util.find_spec(name) is not None:
            pytest.skip(f"{name} is installed")
    assert main(["train", "--log-to", "wandb,mlflow"]) == 2
    said = capsys.readouterr().err
    assert said == ('error: --log-to: `wandb` and `mlflow` are not installed; run `pip install "m3ic[wandb,mlflow]"`\n')
    assert main(["train", "--log-to", "comet"]) == 2
    assert "`comet` is none of tensorboard, wandb, mlflow, or `none`" in capsys.readouterr().err


def damaged(line: bytes) -> tuple[str, str]:
    """What `runs` and `runs show` say of a record with this line in it, on standard error."""
    path = made("a-1", STOPPED)
    metrics = path / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join([*lines[:2], line + b"\n", *lines[2:]]))
    record = read_run(path)
    assert record.damage is not None, "the line was taken for an event"
    assert record.losses["total"].values == [3.0, 1.5], "one damaged line hides no other"
    return record.damage.message, record.damage.code


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b'{"event": "stop", "step": ' + b"9" * 5000 + b"}", "it is not JSON"),
        (b'{"event": "stop", "step": NaN}', "it is not JSON"),
        (b"7", "it is not an event"),
        (b'{"step": 3}', "it does not say of which event it is"),
        (b'{"event": "stop"}', "`stop` has no `step`"),
        (json.dumps(step(11, 11, 1.0)).replace('"loss"', '"lxss"').encode(), "`step` has no `loss`"),
        (json.dumps({**step(11, 11, 1.0), "loss": "low"}).encode(), "`loss` of `step` cannot be what it is"),
        (json.dumps({**step(11, 11, 1.0), "step": -1}).encode(), "`step` of `step` cannot be what it is"),
        (json.dumps({**step(11, 11, 1.0), "losses": [1.0]}).encode(), "`losses` of `step` cannot be what it is"),
        (json.dumps({**step(11, 11, 1.0), "memory": {"device_peak": 1}}).encode(), "`memory` of `step` cannot"),
        (json.dumps({**step(11, 11, 1.0), "data_wait": 10**400}).encode(), "`data_wait` of `step` cannot be what"),
        (json.dumps(measured(11, 11, 1.0)).replace("1.0}", "1e999}").encode(), "`results` of `evaluation` cannot"),
        (json.dumps({**measured(11, 11, 1.0), "measures": {"a": 1}}).encode(), "`measures` of `evaluation` cannot"),
    ],
)
def test_a_damaged_line_is_named_and_hides_no_other(line: bytes, why: str) -> None:
    said, code = damaged(line)
    assert code == "M3I0716"
    assert said.startswith(f"`runs/a-1/metrics.jsonl`, line 3: {why}")


def test_a_line_of_a_later_version_is_no_damage() -> None:
    path = made("a-1", (*STOPPED, {"event": "pause", "anything": [1]}))
    assert read_run(path).damage is None


def test_one_damaged_run_does_not_hide_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    made("a-1", STOPPED)
    for name, content in (("b-1", "[" * 100_000), ("c-1", '{"recipe": 1}'), ("d-1", '{"recipe": "r", "versions": []}')):
        made(name, STOPPED)
        Path("runs", name, "run.json").write_text(content)
    metrics = made("e-1", STOPPED) / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"loss"', '"lxss"'))
    assert main(["runs"]) == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()[2:]] == ["e-1", "a-1"]
    for named in ("`runs/e-1/metrics.jsonl`, line 3", "`runs/b-1`", "`runs/c-1`", "`runs/d-1`"):
        assert named in said.err, named
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [run["damage"] is None for run in listed] == [False, True]
    assert main(["runs", "show", "b-1"]) == 1
    assert "error[M3I0707]: `runs/b-1` does not hold a run" in capsys.readouterr().err


def test_a_step_without_the_memory_of_a_device_is_shown_with_that_of_the_host() -> None:
    memory = {"host": 3 * 10**9}
    assert read_run(made("tiny-1", (start(0), {**step(10, 10, 3.0), "memory": memory}))).memory == 3 * 10**9
