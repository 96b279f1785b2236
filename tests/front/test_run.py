"""From Python to a run, its results and its encoder: what the commands do, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import m3i_dsl as m3i
from m3i_dsl.cli.main import main
from m3i_dsl.front.wrong_use import WrongUse
from m3i_dsl.runtime.faults import TrainingFault

EXAMPLE = Path(__file__).parents[2] / "examples" / "first_recipe.m3i"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> m3i.Run:
    """Three steps of the first recipe, with everything where the commands would have put it."""
    folder = tmp_path_factory.mktemp("front")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = m3i.read(EXAMPLE).compile().train(max_steps=3, device="cpu")
    return m3i.run(folder / found.path)


def test_the_artifact_is_that_of_the_command(run: m3i.Run, tmp_path: Path) -> None:
    assert main(["compile", str(EXAMPLE), "-o", str(tmp_path / "artifact")]) == 0
    ours, theirs = run.path / "artifact", tmp_path / "artifact"
    names = {path.name for path in theirs.iterdir() if path.is_file()}
    assert names == {path.name for path in ours.iterdir() if path.is_file()} and "manifest.json" in names
    manifests = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in (ours, theirs)]
    assert manifests[0]["fingerprint"] == manifests[1]["fingerprint"]
    names.remove("manifest.json")  # it says where the recipe's folder is from the artifact's
    assert [name for name in sorted(names) if (ours / name).read_bytes() != (theirs / name).read_bytes()] == []


def test_metrics_are_the_lines_of_the_record(run: m3i.Run) -> None:
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    table = run.metrics()
    assert len(table) == len(lines)
    for row, line in zip(table, lines, strict=True):
        assert {name: value for name, value in row.items() if value is not None} == {
            name: value for name, value in json.loads(line).items() if value is not None
        }


def test_a_line_that_is_being_written_is_left_out(run: m3i.Run) -> None:
    whole = len(run.metrics())
    with (run.path / "metrics.jsonl").open("a+", encoding="utf-8") as file:
        end = file.tell()
        file.write('{"event": "st')
        file.flush()
        assert len(run.metrics()) == whole
        file.truncate(end)


def test_results_are_those_of_the_command(run: m3i.Run, capsys: pytest.CaptureFixture[str]) -> None:
    results = run.evaluate(limit=60, device="cpu")
    assert main(["eval", str(run.path), "--limit", "60", "--device", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["results"]
    (row,) = [row for row in results.table() if row["subject"] == "trained"]
    assert row["value"] == record[0]["trained"]["value"] and row["measure"] == "accuracy"
    assert {row["subject"] for row in results.table()} >= {"trained", "untrained", "raw pixels"}
    assert "<td>accuracy</td>" in results._repr_html_()


def test_the_encoder_is_the_trained_one(run: m3i.Run) -> None:
    encoder = run.encoder()
    images = torch.rand(5, 3, *encoder.image_size)
    tokens = encoder(images)
    assert tokens.shape == (5, encoder.prefix + encoder.grid[0] * encoder.grid[1], encoder.width)
    features = encoder.features(images, batch=2)
    assert torch.allclose(features, tokens[:, encoder.prefix :].mean(dim=1), atol=1e-5)
    assert not torch.equal(features, m3i.run(run.path).encoder().features(1 - images))


def test_it_takes_images_of_its_size_only(run: m3i.Run) -> None:
    encoder = run.encoder()
    with pytest.raises(ValueError, match=r"prepared\(pictures\)"):
        encoder(torch.rand(1, 3, 30, 32))


def test_pictures_of_any_size_are_prepared(run: m3i.Run) -> None:
    encoder = run.encoder()
    array = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    both = encoder.prepared([array, Image.fromarray(array)])
    assert both.shape == (2, 3, *encoder.image_size) and torch.equal(both[0], both[1])
    plain = np.full((40, 33, 3), 51, dtype=np.uint8)
    assert torch.allclose(encoder.prepared([plain]), torch.tensor(0.2), atol=1e-5)
    with pytest.raises(ValueError, match="uint8"):
        encoder.prepared([array.astype(np.float32)])


def test_it_is_exported(run: m3i.Run, tmp_path: Path) -> None:
    folder = run.export(tmp_path / "encoder")
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "config.json"}
    assert _code(lambda: run.export(folder)) == "M3I0762"


def test_a_run_is_continued(run: m3i.Run) -> None:
    compiled = m3i.Compiled(run.path / "artifact", None)  # type: ignore[arg-type]  # nothing reads the manifest here
    steps = [row["step"] for row in run.metrics() if row["event"] == "step"]
    again = compiled.train(run.path, max_steps=5, device="cpu", resume=True)
    assert again.path == run.path
    assert max(row["step"] for row in again.metrics() if row["event"] == "step") == 5 > max(steps)


def test_what_is_not_there_is_said(run: m3i.Run, tmp_path: Path) -> None:
    assert _code(lambda: m3i.run(tmp_path)) == "M3I0707"
    with pytest.raises(WrongUse, match="no stages"):
        run.metrics("pixels")
    assert _code(lambda: run.encoder("teacher")) == "M3I0760"


def _code(call: Callable[[], object]) -> str:
    """Of the fault that a call ends with."""
    with pytest.raises(TrainingFault) as caught:
        call()
    return caught.value.code
