"""What a user types from a recipe to an encoder, as processes: exit codes, and what goes to which stream.

The first test is a whole session in a shell; the others are the ways in which it goes wrong.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from m3i_dsl.artifact import load
from m3i_dsl.cli.main import main
from m3i_dsl.ir.text import VERSION

ROOT = Path(__file__).parents[2]

RECIPE = """\
m3i 1
recipe tiny

param width = 16

data digits = embedded("digits")
view view1 of digits.image = crop(16px, scale: 40%..100%)
encoder image = timm("vit_tiny_patch16_224", image: 16px, patch: 4px, width: width, depth: 1, heads: 2)

objective mim {
  input     masked view1 by random(50%)
  represent dense feature of image

  target pixels {
    data           view1
    representation dense pixels
    predictor      decoder(layers: 1, heads: 2)
    regularization none
    distribution   gaussian(tokens: hidden)
  }
}

train {
  batch     128
  epochs    2
  optimizer adamw(lr: 1e-3)
}

evaluate {
  knn    at end
  linear at end
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the recipe in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.m3i").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which `m3ic` is this package's."""
    function = f'm3ic() {{ "{sys.executable}" -m m3i_dsl.cli.main "$@"; }}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-c", f"{function}\nset -e -o pipefail\n{command}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.slow
def test_a_session(folder: Path) -> None:
    done = shell("m3ic compile tiny.m3i && m3ic train --max-steps 12", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "target/tiny\nruns/tiny-1\n"
    assert "compiled     tiny" in done.stderr
    assert "training tiny: 22 steps of 128 (2 epochs)" in done.stderr
    assert "step 12/22" in done.stderr
    done = shell("m3ic eval --json && m3ic export", folder)
    assert done.returncode == 0, done.stderr
    record, end = json.JSONDecoder().raw_decode(done.stdout)
    assert (record["recipe"], record["step"]) == ("tiny", 12)
    for result in record["results"]:
        assert 0.1 < result["trained"]["value"] <= 1
        assert set(result["baselines"]) == {"untrained", "raw pixels"}
    assert done.stdout[end:].strip() == "runs/tiny-1/timm-image"
    assert "left out: " in done.stderr
    assert (folder / "runs/tiny-1/timm-image/model.safetensors").is_file()


@pytest.mark.slow
def test_a_resolved_recipe_compiles_to_the_same_program(folder: Path) -> None:
    done = shell(
        "m3ic compile tiny.m3i --set width=32 -o one; m3ic resolve tiny.m3i --set width=32 | m3ic compile - -o two",
        folder,
    )
    assert done.returncode == 0, done.stderr
    one, two = load(folder / "one"), load(folder / "two")
    assert one.recipe == two.recipe
    assert one.manifest.fingerprint == two.manifest.fingerprint


def test_training_what_was_never_compiled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error[M3I0607]: no artifact was compiled into `target` yet\n")
    assert "  = help: run `m3ic compile RECIPE.m3i` first" in captured.err


def test_a_recipe_edited_after_it_was_compiled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tiny.m3i").rename(folder / "my tiny.m3i")
    assert main(["compile", "my tiny.m3i"]) == 0
    (folder / "my tiny.m3i").write_text(RECIPE.replace("random(50%)", "random(75%)"), encoding="utf-8")
    capsys.readouterr()
    assert main(["train"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[M3I0603]: artifact `tiny` is stale: `my tiny.m3i` changed after it was compiled" in captured.err
    assert "--allow-stale" in captured.err
    assert not (folder / "runs").exists()
    assert main(["train", "--allow-stale", "--max-steps", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "runs/tiny-1\n"
    assert "training `target/tiny`, which was compiled last, from `my tiny.m3i`\n" in captured.err
    (folder / "my tiny.m3i").write_text(RECIPE.replace("random(50%)", "random(175%)"), encoding="utf-8")
    assert main(["compile", "my tiny.m3i"]) == 1
    capsys.readouterr()
    assert main(["train", "--allow-stale"]) == 1
    assert "error[M3I0611]: what was compiled last, `my tiny.m3i`, has failed" in capsys.readouterr().err


def test_an_artifact_edited_by_hand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "tiny.m3i"]) == 0
    canonical = folder / "target/tiny/recipe.canonical.m3i"
    canonical.write_text(canonical.read_text(encoding="utf-8").replace("0.001", "0.01"), encoding="utf-8")
    capsys.readouterr()
    for options in ([], ["--allow-stale"]):
        assert main(["train", *options]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "recipe.canonical.m3i" in captured.err.splitlines()[0]
        assert "M3I060" in captured.err


@pytest.mark.parametrize("command", ["check", "resolve", "table", "compile"])
def test_a_parameter_that_the_recipe_has_not(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "tiny.m3i", "--set", "witdh=32"]) == 1
    captured = capsys.readouterr()
    said = captured.out if command == "check" else captured.err
    assert "error[M3I0129]: the recipe has no `param witdh`" in said
    assert "did you mean `width`?" in said
    assert command == "check" or captured.out == ""


def test_data_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = RECIPE.replace('embedded("digits")', 'folder("digitz")').partition("evaluate {")[0]
    (folder / "own.m3i").write_text(text, encoding="utf-8")
    assert main(["check", "own.m3i"]) == 0, "what the checker needs no data for is right"
    capsys.readouterr()
    assert main(["compile", "own.m3i"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error[M3I0501]: there is no `digitz`\n  --> own.m3i:6:22\n" in captured.err
    assert not (folder / "target").exists()


def test_data_that_is_gone_when_training_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.data.programs import image_folder

    images = image_folder(folder / "images", {"a": 4, "b": 4})
    text = RECIPE.replace('embedded("digits")', 'folder("images")').replace("batch     128", "batch     4")
    (folder / "own.m3i").write_text(text.partition("evaluate {")[0], encoding="utf-8")
    assert main(["compile", "own.m3i"]) == 0
    capsys.readouterr()
    images.rename(folder / "elsewhere")
    assert main(["train"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no `images`" in captured.err
    assert "M3I05" in captured.err
    assert not (folder / "runs").exists()


def test_check_on_a_folder_of_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "recipes")]) == 0
    captured = capsys.readouterr()
    assert "error" not in captured.out
    count = len(list((ROOT / "recipes").rglob("*.m3i")))
    assert captured.err.startswith(f"checked {count} files: ")


def test_table_of_a_folder_leaves_its_parts_out(capsys: pytest.CaptureFixture[str]) -> None:
    """`recipes/data.m3i` is no recipe; named by itself, it is a fault."""
    assert main(["table", str(ROOT / "recipes")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert all(line == line.rstrip() for line in captured.out.splitlines())
    assert main(["table", str(ROOT / "recipes" / "data.m3i")]) == 1


def test_no_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "train a compiled recipe" in captured.err


def test_one_stage_on_standard_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(RECIPE))
    assert main(["compile", "-", "--emit", "ir"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"ir {VERSION}\nrecipe tiny\n")
    assert captured.err == ""
    assert not (folder / "target").exists(), "a stage is printed, nothing is written"
