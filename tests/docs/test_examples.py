"""The examples run, and say what they are said to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.driver import check_file
from m3i_dsl.source import SourceFile

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FAULTS = sorted((EXAMPLES / "faults").glob("*.m3i"))


def test_the_index_names_every_example() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert f"({path.name})" in index, f"{path.name} is not in the index"


@pytest.mark.parametrize("path", FAULTS, ids=[path.stem for path in FAULTS])
def test_a_fault_gets_the_code_that_it_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.search(r"^# m3ic: (M3I\d{4})$", text, flags=re.MULTILINE)
    assert named is not None
    assert {diagnostic.code for diagnostic in check_file(SourceFile(str(path), text)).diagnostics} == {named[1]}


def test_the_new_row_is_unexplored() -> None:
    path = EXAMPLES / "new_row.m3i"
    checked = check_file(SourceFile(str(path), path.read_text(encoding="utf-8")))
    assert [diagnostic.code for diagnostic in checked.diagnostics] == ["M3I0801"]


def test_several_targets_share_their_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(EXAMPLES / "several_targets.m3i")]) == 0
    assert "2 a step (4 before the passes)" in capsys.readouterr().err


def test_stages_train_one_after_the_other_and_say_what_was_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(EXAMPLES / "stages.m3i"), "--set", "length=1"]) == 0
    assert main(["train", "--device", "cpu", "--workers", "0"]) == 0
    assert main(["eval", "--report", "--limit", "200", "--device", "cpu"]) == 0
    assert "last - best earlier" in capsys.readouterr().out


def test_first_recipe_trains_and_its_encoder_is_timms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(EXAMPLES / "first_recipe.m3i")]) == 0
    assert main(["train", "--device", "cpu", "--workers", "0"]) == 0
    assert main(["export", "-o", "encoder", "--device", "cpu"]) == 0
    command = [sys.executable, str(EXAMPLES / "use_exported.py"), "encoder"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "VisionTransformer: (2, 17, 96)\n"


def test_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "own_images"
    folder.mkdir()
    for name in ("make_images.py", "recipe.m3i"):
        shutil.copy(EXAMPLES / "own_images" / name, folder / name)
    subprocess.run([sys.executable, str(folder / "make_images.py")], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    assert main(["compile", "own_images/recipe.m3i"]) == 0
    assert main(["train", "--device", "cpu", "--workers", "0"]) == 0
    assert main(["eval", "--device", "cpu"]) == 0
    assert "zero_shot" in capsys.readouterr().out


def test_a_mixture_trains_each_target_on_the_samples_that_have_its_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("own_images/make_images.py", "mixture/recipe.m3i"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(EXAMPLES / name, tmp_path / name)
    subprocess.run([sys.executable, str(tmp_path / "own_images/make_images.py")], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    assert main(["compile", "mixture/recipe.m3i", "--set", "epochs=0.04"]) == 0
    assert "all_text: i64[4B/5, 40]" in (tmp_path / "target" / "m3i_mixture" / "recipe.ir").read_text(encoding="utf-8")
    assert main(["train", "--device", "cpu", "--workers", "0"]) == 0
    assert "knn.accuracy" in capsys.readouterr().err


def test_a_planted_bug_is_found_and_shrunk() -> None:
    command = [sys.executable, str(EXAMPLES / "find_a_bug.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "masked view1 by random(50%, tokens: drop)" in done.stdout
    assert "symmetric true" in done.stdout and "flip" not in done.stdout
    assert "leak failed at drawn.m3i:11: z_x of `drawn` sees" in done.stdout
