"""A pipeline of three stages: what moves on, stopping and going on, kills anywhere, and what was forgotten."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from m3i_dsl import driver
from m3i_dsl.cli.main import main
from m3i_dsl.lower.handover import handed_over
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.handover import HANDOVER
from tests.distributed.launched import small
from tests.runtime.staged import RECIPE, STAGES, STEPS, compiled, train

FOLDERS = tuple(f"{place}-{stage}" for place, stage in enumerate(STAGES, start=1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe compiled and trained: target/staged, runs/staged-1."""
    folder = tmp_path_factory.mktemp("staged")
    compiled(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train() == 0
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the current folder."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def handover(run: Path, folder: str) -> dict[str, torch.Tensor]:
    return load_file(run / "stages" / folder / HANDOVER)


def weights(run: Path, folder: str) -> dict[str, torch.Tensor]:
    """The module of a stage as its last checkpoint has it, by name."""
    path = run / "stages" / folder
    _, executable = driver.load_artifact(path / "artifact", allow_stale=True)
    checkpoint, damaged = CheckpointStore(path / "checkpoints").newest()
    assert checkpoint is not None and checkpoint.step == STEPS and not damaged
    checkpoint.read_weights(executable.module)
    return executable.module.state_dict()


def test_a_stage_hands_over_the_encoders_that_it_trained_and_nothing_else(whole: Path) -> None:
    run = whole / "runs/staged-1"
    for name, encoder in zip(FOLDERS, ("image", "image", "student"), strict=True):
        left = handover(run, name)
        assert {key.partition("/")[0] for key in left} == {f"encoders.{encoder}"}
        trained = weights(run, name)
        for key, tensor in left.items():
            assert torch.equal(tensor, trained[key.replace("/", ".")]), key
    before, after = handover(run, FOLDERS[0]), handover(run, FOLDERS[1])
    assert set(before) - set(after) == {"encoders.image/mask_token"}, "labels masks nothing"
    assert not any(torch.equal(before[key], after[key]) for key in after if key.endswith("qkv.weight"))


def test_a_frozen_teacher_is_the_encoder_as_the_stage_finds_it(whole: Path) -> None:
    run = whole / "runs/staged-1"
    left, teacher = handover(run, FOLDERS[1]), weights(run, FOLDERS[2])
    assert len(left) > 10
    for key, tensor in left.items():
        assert torch.equal(tensor, teacher[key.replace("encoders.image/", "encoders.teacher.module.")]), key


def test_stages_are_equal_to_runs_by_hand_with_an_encoder_carried_over(whole: Path) -> None:
    """The second stage with the encoder of the first one put in by hand, trained by the same trainer."""
    from tests.runtime.tiny import Silent

    run = whole / "runs/staged-1"
    _, executable = driver.load_artifact(run / "stages/2-labels/artifact", allow_stale=True)
    encoder = executable.encoders["image"]
    found = {key.partition("/")[2]: tensor for key, tensor in handover(run, FOLDERS[0]).items()}
    encoder.load_state_dict({key: tensor for key, tensor in found.items() if key != "mask_token"})

    from m3i_dsl.data.stream import Stream
    from m3i_dsl.runtime.loop import Trainer
    from m3i_dsl.runtime.options import TrainOptions
    from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity

    device = torch.device("cpu")
    stream = Stream(executable.program, executable.inputs, base=whole, device=device)
    with RunFolder.create(whole / "by_hand", RunIdentity("by_hand", "f" * 64, {})) as by_hand:
        Trainer(executable, stream, by_hand, TrainOptions(device=device), display=Silent()).run()
    left = handover(run, FOLDERS[1])
    ours = handed_over(executable)
    assert ours.keys() == left.keys()
    assert all(torch.equal(ours[key], left[key]) for key in left)


def test_until_then_resume_ends_with_the_same_bits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--run", "runs/parts", "--until", "pixels") == 0
    out, err = capsys.readouterr()
    assert out == "runs/parts\n" and "stage 1 of 3: pixels" in err and "stage 2" not in err
    assert train("--resume", "--run", "runs/parts", "--until", "labels", "--max-steps", "3") == 0
    out, err = capsys.readouterr()
    assert "stage 1" not in err and "stage 2 of 3: labels" in err
    assert not (folder / "runs/parts/stages/2-labels" / HANDOVER).exists()
    assert train("--resume", "--run", "runs/parts") == 0
    out, err = capsys.readouterr()
    assert "from step 3" in err and "stage 3 of 3: distill" in err
    for name in FOLDERS:
        files = [folder / "runs" / run / "stages" / name / HANDOVER for run in ("staged-1", "parts")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_from_takes_the_stages_that_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled(folder, RECIPE.replace("masked view1 by random(50%)\n", "masked view1 by random(25%)\n"))
    assert train("--from", "runs/staged-1", "--until", "labels") == 0
    assert "taken from runs/staged-1: pixels, labels" in capsys.readouterr().err
    run = folder / "runs/staged-2/stages"
    assert (run / "2-labels" / HANDOVER).read_bytes() == (
        folder / "runs/staged-1/stages/2-labels" / HANDOVER
    ).read_bytes()
    assert not (run / "3-distill").exists()
    assert main(["eval", "--stage", "labels", "--device", "cpu"]) == 0, "what was taken can be measured"

    compiled(folder, RECIPE.replace("random(50%, tokens: mask)", "random(25%, tokens: mask)"))
    assert train("--from", "runs/staged-1") == 1
    assert "error[M3I0708]" in capsys.readouterr().err


def test_a_damaged_handover_is_named_and_made_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs/staged-1"
    path = run / "stages/2-labels" / HANDOVER
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    shutil.rmtree(run / "stages/3-distill")
    assert train("--resume") == 1
    err = capsys.readouterr().err
    assert "error[M3I0702]" in err and "2-labels/handover.safetensors" in err
    path.unlink()
    assert train("--resume") == 0
    assert path.read_bytes() == whole


def test_flags_that_mean_nothing_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--until", "pixel") == 2
    assert "did you mean `pixels`?" in capsys.readouterr().err
    assert train("--resume", "--from", "runs/staged-1") == 2
    assert "`--from` is for a new run" in capsys.readouterr().err
    assert main(["eval", "--stage", "nothing", "runs/staged-1"]) == 2
    assert "there is no stage `nothing`" in capsys.readouterr().err
    assert list((folder / "runs").glob("staged-*")) == [folder / "runs/staged-1"], "no folder is left behind"


def test_eval_reports_what_was_forgotten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--report", "--json", "--device", "cpu"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["run"] == "runs/staged-1/stages/3-distill" and record["encoder"] == "student"
    (course,) = record["forgetting"]
    assert course["name"] == "knn" and list(course["stages"]) == list(FOLDERS)
    values = [stage["value"] for stage in course["stages"].values()]
    assert values[2] == record["results"][0]["trained"]["value"]
    assert course["forgetting"]["value"] == pytest.approx(max(values[:2]) - values[2])
    assert course["best_earlier"] == FOLDERS[values.index(max(values[:2]))]
    assert "last stage - best earlier" in (folder / "runs/staged-1/stages/3-distill/report.html").read_text()

    assert main(["eval", "--stage", "labels", "--device", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["encoder"] == "image" and record["results"][0]["trained"]["value"] == values[1]
    assert "forgetting" not in record
    assert main(["export", "--stage", "pixels", "-o", "exported"]) == 0
    left = handover(folder / "runs/staged-1", FOLDERS[0])
    model = load_file("exported/model.safetensors")
    assert torch.equal(model["norm.weight"], left["encoders.image/model.norm.weight"])


def test_runs_lists_each_stage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == [f"staged-1/{name}" for name in FOLDERS]
    assert {record["state"] for record in records} == {"finished"}
    assert main(["runs", "show", "staged-1/2-labels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["losses"].keys() == {"total", "supervised.category"}
    assert main(["runs", "show", "staged-1", "--json"]) == 0
    assert [record["name"] for record in json.loads(capsys.readouterr().out)] == [
        f"staged-1/{name}" for name in FOLDERS
    ]


def test_runs_are_compared_by_one_stage_which_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("runs/staged-1/stages/2-labels", "runs/single")
    last, first = f"staged-1/{FOLDERS[2]}", f"staged-1/{FOLDERS[0]}"
    for runs, compared in (
        (("staged-1", "single"), [last, "single"]),
        (("single", "staged-1"), ["single", last]),
        (("staged-1", first), [first, first]),
    ):
        assert main(["runs", "show", *runs, "--json"]) == 0
        out, err = capsys.readouterr()
        assert [record["name"] for record in json.loads(out)["runs"]] == compared
        assert f"`{compared[runs.index('staged-1')]}` is compared" in err and f"`staged-1/{FOLDERS[1]}`" in err
    assert main(["runs", "show", first, "single"]) == 0
    assert capsys.readouterr().err == ""


def test_a_picture_says_which_stage_it_is_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "staged.m3i"]) == 0
    last = capsys.readouterr()
    assert last.err == "stage 3 of 3: distill; `--stage NAME` for another: pixels, labels\n"
    assert main(["graph", "staged.m3i", "--stage", "distill"]) == 0
    assert capsys.readouterr() == (last.out, "")


def test_a_plan_is_compared_with_the_artifact_of_its_stage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "staged.m3i", "--against", "target/staged", "--stage", "labels"]) == 0
    assert "the recipe and target/staged/stages/2-labels are the same program" in capsys.readouterr().out
    Path("other.m3i").write_text(RECIPE.replace("stage labels", "stage names"))
    Path("single.m3i").write_text(small(batch=8, length="steps 4"))
    assert main(["plan", "other.m3i", "--against", "target/staged", "--stage", "names"]) == 2
    assert "has stages and none is called `names`" in capsys.readouterr().err
    assert main(["plan", "single.m3i", "--against", "target/staged"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "the recipe has none; name the folder of one: `target/staged/stages/1-pixels`" in err


def test_kills_in_every_stage_and_between_end_with_the_same_bits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.staged", str(tmp_path), "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8
    for name in FOLDERS:
        runs = [tmp_path / "runs" / run / "stages" / name for run in ("whole", "killed")]
        assert (runs[0] / HANDOVER).read_bytes() == (runs[1] / HANDOVER).read_bytes()
        records = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
        steps = [[(r["step"], r["loss"]) for r in run if r["event"] == "step"] for run in records]
        assert steps[0] == steps[1] and len(steps[0]) == STEPS
        shards = [sorted((run / f"checkpoints/step-{STEPS:06d}").glob("*.safetensors")) for run in runs]
        assert [shard.name for shard in shards[0]] == [shard.name for shard in shards[1]] and shards[0]
        for ours, theirs in zip(*shards, strict=True):
            expected, found = load_file(ours), load_file(theirs)
            assert expected.keys() == found.keys()
            assert all(torch.equal(found[tensor], expected[tensor]) for tensor in expected)
