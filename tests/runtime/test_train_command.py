"""`m3ic train` on a small compiled recipe: from the artifact to the run and back, exit codes, and what goes where."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from m3i_dsl import driver
from m3i_dsl.artifact.faults import fault
from m3i_dsl.cli.main import main
from m3i_dsl.cli.train_flags import again
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.faults import CANNOT_WRITE, TrainingFault
from m3i_dsl.runtime.options import often_enough
from m3i_dsl.source import read_file
from tests.data.programs import encoded, picture
from tests.distributed.launched import small

WEIGHED = ("    distribution gaussian\n  }\n", "    distribution gaussian\n  }\n  weighting likelihood\n")
RECIPE = small(batch=256, length="epochs 1").replace(*WEIGHED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the recipe compiled."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.m3i").write_text(RECIPE)
    checked = driver.check_file(read_file(Path("small.m3i")))
    compiled = driver.compile_program(checked.required(), Path())
    driver.write_artifact(Path("target/small"), compiled, checked, {})
    return tmp_path


def train(*arguments: str) -> int:
    return main(["train", "--device", "cpu", "--log-every", "1", *arguments])


def test_train_stop_and_resume(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--run", "runs/whole") == 0
    assert capsys.readouterr().out == "runs/whole\n"

    assert train("--max-steps", "2") == 0
    out, err = capsys.readouterr()
    assert out == "runs/small-1\n" and "training small" in err
    assert err.endswith(
        "ended after step 2 by `--max-steps`; step 2 is saved in `runs/small-1/checkpoints/step-000002`; "
        "go on with `m3ic train --resume --run runs/small-1 --device cpu --log-every 1`\n"
    )
    (folder / "small.m3i").write_text(RECIPE.replace("1e-3", "1e-2"))  # the run keeps what it was compiled from
    assert train("--resume") == 0
    out, err = capsys.readouterr()
    assert out == "runs/small-1\n" and "from step 2" in err and "M3I0603" in err
    assert err.endswith(
        "`runs/small-1` is finished; step 5 is saved in `runs/small-1/checkpoints/step-000005`; "
        "measure it with `m3ic eval runs/small-1`\n"
    )

    runs = [folder / "runs" / name for name in ("whole", "small-1")]
    name = (runs[0] / "checkpoints/latest").read_text().strip()
    shards = [sorted((run / "checkpoints" / name).glob("*.safetensors")) for run in runs]
    assert [shard.name for shard in shards[0]] == [shard.name for shard in shards[1]] and len(shards[0]) == 2
    for ours, theirs in zip(*shards, strict=True):
        expected, found = load_file(ours), load_file(theirs)
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[tensor], expected[tensor]) for tensor in expected)
    records = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
    losses = [[record["loss"] for record in run if record["event"] == "step"] for run in records]
    assert losses[0] == losses[1] and len(losses[0]) > 2
    learned = [record["learned"]["mim.pixels.log_variance"] for record in records[0] if record["event"] == "step"]
    assert learned[0] != learned[-1] and all(abs(value) < 0.1 for value in learned)

    before = {path: path.stat().st_mtime_ns for path in (folder / "runs/small-1").rglob("*")}
    assert train("--resume", "--run", "runs/small-1") == 0
    out, err = capsys.readouterr()
    assert out == "runs/small-1\n" and "`runs/small-1` is finished" in err and "start a new run" in err
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs/small-1").rglob("*")} == before
    shutil.rmtree(folder / "runs/small-1/checkpoints" / name)
    assert train("--resume", "--run", "runs/small-1") == 0, "what is lost is trained again"
    assert (folder / "runs/small-1/checkpoints" / name).is_dir()


def test_a_signal_gives_its_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assembled = Stream._assembled

    def interrupted(self: Stream, step: int, *rest: object) -> object:
        if step == 1:
            signal.raise_signal(signal.SIGTERM)
        return assembled(self, step, *rest)

    monkeypatch.setattr(Stream, "_assembled", interrupted)
    assert train() == 75
    out, err = capsys.readouterr()
    assert out == "runs/small-1\n" and "stopped by SIGTERM after step 2" in err
    assert err.endswith("go on with `m3ic train --resume --run runs/small-1 --device cpu --log-every 1`\n")
    assert (folder / "runs/small-1/checkpoints/step-000002").is_dir()


def test_faults_are_shown_and_exit_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--resume") == 1
    assert "error[M3I0707]" in capsys.readouterr().err
    assert train("--run", "runs/a", "--max-steps", "1") == 0
    assert train("--run", "runs/a") == 1
    out, err = capsys.readouterr()
    assert "error[M3I0709]" in err and "Traceback" not in err and out == "runs/a\n"
    assert train("--accumulate", "3") == 1
    assert "M3I0704" in capsys.readouterr().err
    assert not (folder / "runs/small-1").exists()


def test_flags_that_cannot_be_together_leave_no_run_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--run", "run", "--shard", "fsdp") == 1
    assert "M3I0730" in (said := capsys.readouterr().err) and "--resume" not in said
    assert not Path("run").exists()


def test_a_gpu_that_is_not_there_is_no_cpu(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["train", "--device", "cuda"]) == 1
    assert "error[M3I0711]: there is no GPU that torch can use" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_a_stale_artifact_is_refused_unless_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.m3i").write_text(RECIPE.replace("1e-3", "1e-2"))
    assert train() == 1
    assert "M3I0603" in capsys.readouterr().err and not (folder / "runs").exists()
    assert train("--allow-stale", "--max-steps", "1") == 0
    assert "M3I0603" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train", "data `digits`: the same number of samples, but other content"),
        ("test", "the held-out samples of data `digits`: the same number of samples, but other content"),
    ],
)
def test_a_run_goes_on_with_its_own_data_only_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], split: str, said: str
) -> None:
    """The files of two samples change places: names, sizes and labels stay."""
    monkeypatch.chdir(tmp_path)
    for name, first in (("train", 0), ("test", 100)):
        for number in range(16):
            place = tmp_path / name / "ab"[number % 2] / f"{number}.bmp"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encoded(picture(first + number, (24, 24)), "BMP"))
    source = 'folder("train", test: "test")'
    recipe = small(batch=8, length="epochs 4").replace('embedded("digits")', source)
    (tmp_path / "small.m3i").write_text(recipe + "evaluate {\n  knn(k: 1) at end\n}\n")
    assert main(["compile", "small.m3i"]) == 0 and train("--max-steps", "2") == 0
    one, other = tmp_path / split / "a" / "0.bmp", tmp_path / split / "b" / "1.bmp"
    ours, theirs = one.read_bytes(), other.read_bytes()
    one.write_bytes(theirs)
    other.write_bytes(ours)
    capsys.readouterr()
    for command in (["train", "--resume", "--device", "cpu"], ["train", "--device", "cpu"]):
        assert main(command) == 1
        err = capsys.readouterr().err
        assert (
            f"error[M3I0605]: artifact `{'small' if len(command) == 3 else 'runs/small-1/artifact'}` is stale: {said}"
            in err
        )
        assert "bring the data back" in err and "`--allow-stale`" in err
    assert main(["eval", "--device", "cpu"]) == 0
    assert f"warning[M3I0605]: artifact `runs/small-1/artifact` is stale: {said}" in capsys.readouterr().err
    assert train("--resume", "--allow-stale", "--max-steps", "3") == 0
    err = capsys.readouterr().err
    assert "warning[M3I0605]" in err and "--allow-stale" in err.splitlines()[-1], "it is needed to go on"
    one.write_bytes(ours)
    other.write_bytes(theirs)
    assert train("--resume") == 0
    assert "M3I0605" not in capsys.readouterr().err


@pytest.mark.parametrize("flag", [("--accumulate", "0"), ("--checkpoint-every", "5 parsecs"), ("--max-steps", "x")])
def test_wrong_flags_are_wrong_use(flag: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *flag]) == 2
    assert flag[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code", "first"),
    [
        (KeyboardInterrupt(), 130, ""),
        (TrainingFault(CANNOT_WRITE, "the disk is full"), 1, "error[M3I0706]: the disk is full"),
        (RecipeError([fault("M3I0521", "the data is gone", "small.m3i")]), 1, "error[M3I0521]: the data is gone"),
        (ZeroDivisionError("a fault of ours"), 2, "error[M3I0901]"),
    ],
)
def test_whatever_ends_a_training_the_last_word_says_how_to_go_on(
    problem: BaseException,
    code: int,
    first: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assembled = Stream._assembled

    def failing(self: Stream, step: int, *rest: object) -> object:
        if step == 3:
            raise problem
        return assembled(self, step, *rest)

    monkeypatch.setattr(Stream, "_assembled", failing)
    assert train("--checkpoint-every", "2 steps") == code
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == (
        "step 2 is saved in `runs/small-1/checkpoints/step-000002`; go on with "
        "`m3ic train --resume --run runs/small-1 --device cpu --log-every 1 --checkpoint-every '2 steps'`"
    )
    assert any(line.startswith(first) for line in said)


def test_the_command_that_goes_on_has_the_flags_of_where_and_how_fast() -> None:
    words = "--debug train target/a --until b --fr runs/x --max=3 --nproc 2 --log-to none --shard fsdp --run c --requeu"
    assert again(Path("runs/my run"), shlex.split(words)) == (
        "`m3ic train --resume --run 'runs/my run' --debug --nproc 2 --log-to none --shard fsdp`"
    )


@pytest.mark.parametrize("flag", ["--epochs", "--batch-size", "--lr"])
def test_what_the_recipe_says_is_no_flag(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", flag, "20"]) == 2
    assert "this is said by the recipe" in capsys.readouterr().err


def test_a_short_run_logs_every_step(folder: Path) -> None:
    assert main(["train", "--device", "cpu", "--max-steps", "3", "--log-to", "none"]) == 0
    lines = [json.loads(line) for line in (folder / "runs/small-1/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3]


def test_longer_runs_log_twenty_points_and_then_every_tenth_step() -> None:
    assert [often_enough(steps) for steps in (1, 39, 40, 99, 100, 199, 200, 10**6)] == [1, 1, 2, 2, 5, 5, 10, 10]
