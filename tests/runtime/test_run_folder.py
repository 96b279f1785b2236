"""Run folders: one process each, one run each."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from m3i_dsl.artifact import load, write
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, is_held, latest_path, new_path
from tests.artifact.contents import contents
from tests.runtime.tiny import IDENTITY, create


def fault(path: Path, *arguments: object) -> TrainingFault:
    with pytest.raises(TrainingFault) as caught:
        RunFolder.open(path, *arguments)  # type: ignore[arg-type]
    return caught.value


def test_a_new_run_copies_what_it_trains(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    written = write(tmp_path / "target/tiny", contents(tmp_path / "recipes"), target=tmp_path / "target")
    with RunFolder.create(tmp_path / "deep/runs/a", IDENTITY, tmp_path / "target/tiny") as run:
        copied = load(run.artifact)
    assert copied.manifest.fingerprint == written.fingerprint
    assert copied.base == load(tmp_path / "target/tiny").base == tmp_path / "recipes"  # paths were moved along
    assert copied.ir == load(tmp_path / "target/tiny").ir
    assert copied.diagnostics == ()


def test_a_damaged_artifact_starts_no_run(tmp_path: Path) -> None:
    write(tmp_path / "target/tiny", contents(tmp_path), target=tmp_path / "target")
    (tmp_path / "target/tiny/recipe.ir").write_text("other")
    with pytest.raises(RecipeError):
        RunFolder.create(tmp_path / "a", IDENTITY, tmp_path / "target/tiny")
    with create(tmp_path / "a"):
        pass  # nothing is left that would keep a run from starting here


def test_a_run_is_never_started_over_another(tmp_path: Path) -> None:
    with create(tmp_path / "a"):
        pass
    with pytest.raises(TrainingFault) as caught:
        create(tmp_path / "a")
    assert caught.value.code == "M3I0709" and "--resume" in caught.value.text()


def test_two_processes_cannot_share_a_run(tmp_path: Path) -> None:
    with create(tmp_path / "a"):
        problem = fault(tmp_path / "a")
        assert problem.code == "M3I0705" and f"process {os.getpid()}" in problem.message
        script = (
            "import sys; from pathlib import Path; from m3i_dsl.runtime.run_folder import RunFolder\n"
            "try: RunFolder.open(Path(sys.argv[1]))\n"
            "except Exception as problem: print(problem)"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True, check=True
        )
        assert f"process {os.getpid()} is training" in other.stdout
    with RunFolder.open(tmp_path / "a"):
        pass  # it was let go


def test_a_deleted_lock_keeps_a_second_trainer_out(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", IDENTITY) as run:
        (run.path / "lock").unlink()
        for _ in range(2):  # the first one leaves an empty lock behind
            with pytest.raises(TrainingFault) as caught:
                RunFolder.open(run.path)
            assert caught.value.code == "M3I0705"
            assert "its `lock` was deleted" in caught.value.message
            assert is_held(run.path)
    assert not is_held(run.path)
    with RunFolder.open(run.path):
        assert is_held(run.path)


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    # A data worker may outlive a killed parent. Here the parent lets go while the child still lives.
    script = (
        "import os, sys, time; from pathlib import Path; from tests.runtime.tiny import create\n"
        "from m3i_dsl.runtime.run_folder import RunFolder\n"
        "run = create(Path(sys.argv[1])); child = os.fork()\n"
        "if child == 0: time.sleep(30)\n"
        "time.sleep(0.2); run.close()\n"
        "RunFolder.open(Path(sys.argv[1])); os.kill(child, 9); print('free')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "free\n", done.stderr


def test_a_folder_that_holds_no_run_is_said(tmp_path: Path) -> None:
    assert fault(tmp_path).code == "M3I0707"
    (tmp_path / "run.json").write_text("{")
    assert fault(tmp_path).code == "M3I0707"


def test_another_artifact_cannot_continue_a_run(tmp_path: Path) -> None:
    with create(tmp_path / "a"):
        pass
    problem = fault(tmp_path / "a", "0" * 64)
    assert problem.code == "M3I0708" and "ffffffffffff" in problem.text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_a_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrainingFault) as caught:
        create(tmp_path / "a")
    assert caught.value.code == "M3I0706"


def test_a_path_that_is_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(TrainingFault) as caught:
        create(tmp_path / "a")
    assert caught.value.code == "M3I0706"


def test_runs_are_numbered(tmp_path: Path) -> None:
    assert new_path(tmp_path, "mae") == tmp_path / "mae-1"
    for name in ("mae-1", "mae-7", "mae-x", "other-9"):
        (tmp_path / name).mkdir()
    assert new_path(tmp_path, "mae") == tmp_path / "mae-8"


def test_the_latest_run_and_the_latest_of_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(TrainingFault) as caught:
        latest_path(tmp_path)
    assert caught.value.code == "M3I0707"
    other: RunIdentity = replace(IDENTITY, fingerprint="a" * 64)
    for name, identity in (("a-1", IDENTITY), ("a-2", IDENTITY), ("b-1", other)):
        with RunFolder.create(tmp_path / name, identity):
            pass
    assert latest_path(tmp_path) == tmp_path / "b-1"
    assert latest_path(tmp_path, IDENTITY.fingerprint) == tmp_path / "a-2"
    with pytest.raises(TrainingFault):
        latest_path(tmp_path, "b" * 64)
