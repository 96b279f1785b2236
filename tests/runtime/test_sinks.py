"""Recording in other tools, with stand-ins that have the signatures of wandb and MLflow."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.reporting.settings import Reporting
from m3i_dsl.runtime.reporting.sinks import fan
from m3i_dsl.runtime.reporting.sinks.fan import Fan
from m3i_dsl.runtime.reporting.sinks.model import Description
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.kinds import ACCURACY, Score
from tests.runtime.tiny import Silent, create, trainer


class Wandb(ModuleType):
    """`init` of wandb with the arguments in use; what is logged by id, on the side of the server."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.opened: list[dict[str, Any]] = []
        self.logged: list[tuple[str, dict[str, float]]] = []
        self.ended: list[tuple[str, int]] = []
        self.axes: set[tuple[str, str | None]] = set()
        self.fails_at: int | None = None

    def init(
        self,
        *,
        project: str,
        id: str,
        resume: str,
        name: str,
        group: str,
        dir: str,
        config: dict[str, Any],
        allow_val_change: bool,
    ) -> SimpleNamespace:
        assert resume == "allow" and allow_val_change and Path(dir).is_dir()
        self.opened.append({"project": project, "id": id, "name": name, "group": group, "config": config})

        def log(data: dict[str, float]) -> None:
            if data["training step"] == self.fails_at:
                raise ConnectionError("the network is gone\nand so on")
            self.logged.append((id, data))

        def finish(exit_code: int | None = None) -> None:
            self.ended.append((id, exit_code or 0))

        def define_metric(name: str, step_metric: str | None = None) -> None:
            self.axes.add((name, step_metric))

        return SimpleNamespace(id=id, log=log, finish=finish, define_metric=define_metric)


class Mlflow(ModuleType):
    """Fluent MLflow: the active run belongs to a thread."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.experiments: list[str] = []
        self.opened: list[tuple[str | None, str | None]] = []
        self.params: dict[str, str] = {}
        self.metrics: list[tuple[str, int, dict[str, float]]] = []
        self.ended: list[tuple[str, str]] = []
        self._active = threading.local()

    def set_experiment(self, name: str) -> None:
        self.experiments.append(name)

    def start_run(self, run_id: str | None = None, run_name: str | None = None) -> SimpleNamespace:
        self.opened.append((run_id, run_name))
        self._active.run = run_id or "made-by-mlflow"
        return SimpleNamespace(info=SimpleNamespace(run_id=self._active.run))

    def log_params(self, params: dict[str, Any]) -> None:
        self.params |= params

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.metrics.append((self._active.run, step, metrics))

    def end_run(self, status: str = "FINISHED") -> None:
        self.ended.append((self._active.run, status))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return module


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Mlflow:
    module = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    return module


def test_a_resumed_run_goes_on_where_it_was_in_the_other_tools(tmp_path: Path, wandb: Wandb, mlflow: Mlflow) -> None:
    reporting = Reporting(sinks=("wandb", "mlflow"))
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=4, reporting=reporting).run()
    with RunFolder.open(tmp_path / "run") as run:
        measured = [(None, lambda step: {"knn.accuracy": Score(0.5, ACCURACY)})]
        trainer(run, max_steps=8, reporting=reporting, callbacks=measured).run(resume=True)
        records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    identities = json.loads((tmp_path / "run/sinks.json").read_text())

    assert [opened["id"] for opened in wandb.opened] == 2 * [identities["wandb"]]
    assert {(opened["project"], opened["name"], opened["group"]) for opened in wandb.opened} == {
        ("m3ic", "run", "tiny")
    }
    assert wandb.opened[0]["config"]["train.batch"] == 8
    assert wandb.axes == {("training step", None), ("*", "training step")}
    assert [data["training step"] for _, data in wandb.logged] == [2, 4, 6, 8]
    assert wandb.ended == 2 * [(identities["wandb"], 0)]

    assert mlflow.experiments == ["m3ic", "m3ic"]
    assert mlflow.opened == [(None, "run"), ("made-by-mlflow", None)]
    assert identities["mlflow"] == "made-by-mlflow"
    assert mlflow.params["train.length"] == "4 epochs"
    assert [(owner, step) for owner, step, _ in mlflow.metrics] == [("made-by-mlflow", step) for step in (2, 4, 6, 8)]
    assert mlflow.ended == 2 * [("made-by-mlflow", "FINISHED")]

    last = next(record for record in reversed(records) if record["event"] == "step")
    for values in (wandb.logged[-1][1], mlflow.metrics[-1][2]):
        assert values["losses/m3i.intra"] == last["losses"]["m3i.intra"]
        assert values["weights/m3i.inter"] == last["weights"]["m3i.inter"]
        assert values["memory/host"] == last["memory"]["host"]
        assert not {"time", "epoch", "mfu", "memory/device_peak"} & values.keys(), "nothing that is not known"


def test_what_ended_the_run_is_its_status(tmp_path: Path, wandb: Wandb, mlflow: Mlflow) -> None:
    def fail(step: int) -> dict[str, float]:
        raise RuntimeError("an evaluation with a bug")

    with create(tmp_path / "run") as run, pytest.raises(RuntimeError):
        trainer(run, reporting=Reporting(sinks=("wandb", "mlflow")), callbacks=[(None, fail)]).run()
    assert [code for _, code in wandb.ended] == [1]
    assert [status for _, status in mlflow.ended] == ["FAILED"]


def test_a_record_that_cannot_be_opened_leaves_no_run_open_in_a_tool(tmp_path: Path, wandb: Wandb) -> None:
    with create(tmp_path / "run") as run:
        run.metrics.mkdir()
        with pytest.raises(TrainingFault) as caught:
            trainer(run, reporting=Reporting(sinks=("wandb",))).run()
    assert caught.value.code == "M3I0706"
    assert [code for _, code in wandb.ended] == [1]


def test_a_tool_that_fails_is_told_once_and_left_alone(tmp_path: Path, wandb: Wandb) -> None:
    wandb.fails_at = 4
    display = Silent()
    with create(tmp_path / "run") as run:
        outcome = trainer(run, reporting=Reporting(sinks=("wandb",)), display=display).run()
        records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert outcome.status == "finished"
    assert [data["training step"] for _, data in wandb.logged] == [2]
    assert [notice.code for notice in display.warned] == ["M3I0741"]
    assert display.warned[0].message == "the run is no longer recorded in wandb: the network is gone"
    assert sum(record["event"] == "step" for record in records) == 10


def test_a_tool_that_cannot_be_started_ends_the_command_before_training(
    tmp_path: Path, wandb: Wandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(**_: object) -> None:
        raise PermissionError("nobody is logged in")

    monkeypatch.setattr(wandb, "init", nobody)
    with create(tmp_path / "run") as run:
        with pytest.raises(TrainingFault) as caught:
            trainer(run, reporting=Reporting(sinks=("wandb",))).run()
        assert not run.metrics.exists()
    assert caught.value.code == "M3I0741"
    assert caught.value.message == "the run cannot be recorded in wandb: nobody is logged in"
    again = Fan(("wandb",), Description(tmp_path, "tiny", 0, {}), lenient=True)  # torchrun started the processes again
    assert [notice.code for notice in again.notices()] == ["M3I0741"]
    assert again.notices() == []


def test_training_does_not_wait_for_a_tool(tmp_path: Path, wandb: Wandb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan, "WAITING", 3)
    monkeypatch.setattr(fan, "FAREWELL", 0.05)
    stalled = threading.Event()
    run = SimpleNamespace(
        log=lambda data: stalled.wait(30), finish=lambda **_: None, define_metric=lambda *_, **__: None
    )
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    threads = Fan(("wandb",), Description(tmp_path, "tiny", 0, {}))
    try:
        for step in range(6):
            threads.log(step, {"loss": 1.0})
        (notice,) = threads.notices()
        assert notice.message == "the run is no longer recorded in wandb: it is 3 records behind"
        slow = Fan(("wandb",), Description(tmp_path, "tiny", 0, {}))
        slow.log(0, {"loss": 1.0})
        (notice,) = slow.finish("finished")
        assert "did not end within" in notice.message
    finally:
        stalled.set()


def test_tensorboard_is_there_by_default_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan, "missing", lambda names: [])
    assert fan.chosen(None) == ("tensorboard",) and fan.chosen(()) == () and fan.chosen(("mlflow",)) == ("mlflow",)
    monkeypatch.setattr(fan, "missing", lambda names: list(names))
    assert fan.chosen(None) == ()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard's own imports
def test_tensorboard_gets_the_scalars(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = Fan(("tensorboard",), Description(tmp_path, "tiny", 0, {}))
    board.log(4, {"loss": 0.5, "losses/m3i.intra": 0.25})
    assert board.finish("finished") == []
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "losses/m3i.intra"}
    assert (events.Scalars("losses/m3i.intra")[0].step, events.Scalars("losses/m3i.intra")[0].value) == (4, 0.25)
