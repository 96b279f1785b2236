"""`m3ic eval` and `m3ic export` on a run: what goes where, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch

from m3i_dsl import driver
from m3i_dsl.cli.main import main
from m3i_dsl.evaluation import streamed
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.trained_run import TrainedRun
from m3i_dsl.front import exporting, measuring
from m3i_dsl.front.opening import opened
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.named import WEIGHTS, module_tensors
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.evaluators import Knn
from m3i_dsl.vocabulary.kinds import ACCURACY, Result, Splits, Subject

RECIPE = """m3i 1
recipe plain
data digits = embedded("digits")
view view1 of digits.image = crop(32px, scale: 40%..100%)
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 2)
objective label {
  input     view1
  represent dense feature of image
  target category {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann(temperature: 1)
  }
}
train {
  batch     16
  epochs    1 epochs
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}
"""


def compiled() -> driver.Compiled:
    return driver.compile_program(driver.check_file(SourceFile("plain.m3i", RECIPE)).required(), Path())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedRun:
    """A run that the commands find as the last one; its artifact is compiled in memory."""
    done = compiled()
    folder = tmp_path / "runs" / "plain-1"
    with RunFolder.create(folder, RunIdentity("plain", "f" * 64, {})):
        pass
    trained = TrainedRun(
        path=folder,
        executable=done.executable,
        base=Path(),
        untrained=lambda: compiled().executable,
        categories={name: locked.categories for name, locked in done.lock.data.items()},
        step=3,
        fingerprint="f" * 64,
        device=torch.device("cpu"),
    )
    for module in (measuring, exporting):
        monkeypatch.setattr(module, "opened", lambda _folder, _device: trained)
    monkeypatch.chdir(tmp_path)
    return trained


def test_eval_prints_a_table_and_writes_the_page(run: TrainedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--limit", "60", "--report"]) == 0
    shown = capsys.readouterr()
    assert "knn" in shown.out
    assert "raw pixels" in shown.out
    assert f"report: {run.path / 'report.html'}" in shown.out
    assert "no `evaluate` block: measuring `knn` and `linear` as they are by default" in shown.err
    assert "plain" in (run.path / "report.html").read_text(encoding="utf-8")
    assert [row["name"] for row in json.loads((run.path / "results.json").read_text())["results"]] == ["knn", "linear"]


def test_eval_json_is_the_only_thing_on_standard_output(run: TrainedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--limit", "60", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["recipe"], record["step"], record["encoder"], record["limit"]) == ("plain", 3, "image", 60)
    assert record["schema"] == 2
    assert record["results"][0]["trained"]["n"] == 60
    assert "report" not in record
    assert not (run.path / "report.html").exists()


def test_export_prints_the_folder(run: TrainedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 0
    shown = capsys.readouterr()
    folder = Path(shown.out.strip())
    assert folder == run.path / "timm-image"
    assert "predictors.label_category" in shown.err
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.forward_features(images), run.executable.encoders["image"].eval()(images))
    assert main(["export"]) == 1
    assert "M3I0762" in capsys.readouterr().err
    assert main(["export", "--force"]) == 0


@pytest.mark.parametrize("words", [["eval", "--encoder", "nothing"], ["export", "--encoder", "nothing"]])
def test_a_fault_is_a_message(words: list[str], run: TrainedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.path.is_dir()
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error[M3I0760]: the recipe has no image encoder `nothing`")


def test_an_evaluator_of_whole_images_is_refused_more_than_memory_holds_with_the_limit_that_fits(
    run: TrainedRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(self: Knn, subject: Subject, splits: Splits) -> Result:
        return Result(ACCURACY, float(splits.test.images.mean()), len(splits.test.labels))

    monkeypatch.setattr(Knn, "measure", measure)
    monkeypatch.setattr(streamed, "LARGEST_SPLIT", 60 * 3 * 32 * 32 * 4)
    assert main(["eval", "--limit", "61"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and "error[M3I0756]: an evaluator takes all 61 test images at once" in shown.err
    assert "`--limit 60`" in shown.err
    assert main(["eval", "--limit", "60"]) == 0


@pytest.mark.parametrize(
    "words", [["eval", "--limit", "0"], ["eval", "--workers", "-1"], ["export", "--format", "onnx"]]
)
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""


def test_there_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval"]) == 1
    assert "error[M3I0707]" in capsys.readouterr().err


def test_a_run_is_loaded_with_the_weights_of_its_newest_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = compiled()
    with torch.no_grad():
        for parameter in done.executable.module.parameters():
            parameter.add_(1)
    folder = tmp_path / "plain-1"
    with RunFolder.create(folder, RunIdentity("plain", "f" * 64, {})):
        pass
    weights, _ = module_tensors(done.executable.module)
    with CheckpointStore(folder / "checkpoints") as store:
        store.save(12, Content({WEIGHTS + name: tensor for name, tensor in weights.items()}, {}))

    class Artifact:
        base = tmp_path
        lock = done.lock
        diagnostics = ()

    monkeypatch.setattr(driver, "load_artifact", lambda *_, **__: (Artifact(), compiled().executable))
    loaded = opened(folder, "cpu")
    assert (loaded.step, loaded.base, loaded.fingerprint) == (12, tmp_path, "f" * 64)
    expected = done.executable.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.executable.module.state_dict().items())
    first = compiled().executable.module.state_dict()
    assert all(torch.equal(tensor, first[name]) for name, tensor in loaded.untrained().module.state_dict().items())


def test_a_run_without_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "plain-1"
    with RunFolder.create(folder, RunIdentity("plain", "f" * 64, {})):
        pass
    with pytest.raises(EvaluationError) as caught:
        opened(folder, "cpu")
    assert caught.value.code == "M3I0755"
