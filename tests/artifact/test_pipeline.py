"""Artifacts of stages: whole ones inside, the same bytes, fingerprints that cover what was before, and damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl import driver
from m3i_dsl.artifact import latest, load
from m3i_dsl.artifact.pipeline import chained, copy_pipeline, is_pipeline, load_pipeline
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.source import read_file
from tests.distributed.launched import artifact
from tests.runtime.staged import RECIPE, STAGES, compiled


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_bytes_and_nothing_of_the_machine(tmp_path: Path) -> None:
    for name in ("here", "over_there"):
        (tmp_path / name).mkdir()
    first, second = (files(compiled(tmp_path / name)) for name in ("here", "over_there"))
    assert first == second
    assert {name.rpartition("/")[0] for name in first} == {"", *(f"stages/{i}-{s}" for i, s in enumerate(STAGES, 1))}
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]
    assert latest(tmp_path / "here/target") == tmp_path / "here/target/staged"


def test_each_stage_is_a_whole_artifact(tmp_path: Path) -> None:
    pipeline = load_pipeline(compiled(tmp_path))
    for stage in STAGES:
        found, executable = driver.load_artifact(pipeline.stage_folder(stage))
        assert found.base == tmp_path and executable.program.stage == stage


def test_what_moves_on_is_in_the_manifest(tmp_path: Path) -> None:
    edges = load_pipeline(compiled(tmp_path)).manifest.edges
    assert [(e.encoder, e.source, e.into, e.to) for e in edges] == [
        ("image", "pixels", "image", "labels"),
        ("image", "labels", "teacher", "distill"),
    ]
    assert edges[0].parameters["encoders/model.norm.weight"] == (16,)


def test_a_fingerprint_covers_the_stages_before_and_not_those_after(tmp_path: Path) -> None:
    before = [stage.fingerprint for stage in load_pipeline(compiled(tmp_path)).manifest.stages]
    changed = RECIPE.replace("representation category embedding", "representation category embedding(size: 8)")
    after = [stage.fingerprint for stage in load_pipeline(compiled(tmp_path, changed)).manifest.stages]
    assert before[0] == after[0] and before[1] != after[1] and before[2] != after[2]
    assert chained(["a", "b"])[1] != chained(["b", "b"])[1] and chained(["a"]) == ("a",)


def test_damage_is_named(tmp_path: Path) -> None:
    folder = compiled(tmp_path)
    text = (folder / "pipeline.json").read_text()
    for changed, code in (
        (text.replace('"labels"', '"label"', 1), "M3I0602"),
        (text[:-20], "M3I0602"),
        (text.replace('"schema_version": 1', '"schema_version": 9'), "M3I0609"),
    ):
        (folder / "pipeline.json").write_text(changed)
        with pytest.raises(RecipeError) as refused:
            load_pipeline(folder)
        assert [d.code for d in refused.value.diagnostics] == [code]
    (folder / "pipeline.json").write_text(text)
    load_pipeline(folder)
    other = tmp_path / "other"
    other.mkdir()
    stranger = compiled(other, RECIPE.replace("random(50%, tokens: mask)", "random(25%, tokens: mask)"))
    for name, content in files(stranger / "stages/1-pixels").items():
        (folder / "stages/1-pixels" / name).write_bytes(content)
    with pytest.raises(RecipeError, match=r"M3I0602.*stage `pixels`"):
        load_pipeline(folder)


def test_a_copy_leads_to_the_same_files(tmp_path: Path) -> None:
    folder = compiled(tmp_path)
    copy = tmp_path / "runs/deep/artifact"
    copy_pipeline(folder, copy)
    ours, theirs = load_pipeline(copy), load_pipeline(folder)
    assert ours.manifest == theirs.manifest
    for stage in STAGES:
        found = load(ours.stage_folder(stage))
        assert found.base == tmp_path and found.diagnostics == ()


def test_one_kind_of_artifact_replaces_the_other_and_nothing_else_is_lost(tmp_path: Path) -> None:
    artifact(tmp_path, 2)
    single = files(tmp_path / "target/small")
    assert "pipeline.json" not in single and not any("/" in name for name in single)
    assert "stage" not in json.loads(single["manifest.json"])
    checked = driver.check_file(read_file(tmp_path / "small.m3i"))
    folder = compiled(tmp_path)
    one = driver.compile_program(checked.required(), tmp_path)
    driver.write_artifact(folder, one, checked, {}, target=tmp_path / "target")
    assert not is_pipeline(folder) and not (folder / "stages").exists()
    compiled(tmp_path)
    assert is_pipeline(folder) and not (folder / "manifest.json").exists()
    (folder / "stages/1-pixels/notes.txt").write_text("mine")
    with pytest.raises(RecipeError, match=r"M3I0608.*notes\.txt"):
        compiled(tmp_path)
    assert (folder / "stages/1-pixels/notes.txt").read_text() == "mine"
