"""Loading: each sort of damage and each reason of staleness is named; nothing is executed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from m3i_dsl.artifact import DataLock, Lock, ParameterRecord, fingerprint, load, write
from m3i_dsl.artifact.manifest import REQUIRED_FILES, Manifest
from m3i_dsl.diagnostics import RecipeError, Severity
from tests.artifact.contents import IR, LOCK, PARAMETERS, contents


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A whole artifact."""
    write(tmp_path / "target" / "tiny", contents(tmp_path), target=tmp_path / "target")
    return tmp_path / "target" / "tiny"


def _refused(folder: Path, **options: bool) -> list[tuple[str, str]]:
    with pytest.raises(RecipeError) as caught:
        load(folder, **options)
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.message[0].islower() or diagnostic.message[0] == "`"
        assert not diagnostic.message.endswith(".")
    return [(diagnostic.code, diagnostic.message) for diagnostic in caught.value.diagnostics]


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_changed_file_is_named(artifact: Path, name: str) -> None:
    path = artifact / name
    path.write_bytes(path.read_bytes() + b"\n")
    ((code, message),) = _refused(artifact, allow_stale=True)
    assert code == "M3I0602"
    assert f"`{name}`" in message
    assert "changed" in message


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_one_flipped_bit_is_noticed(artifact: Path, name: str) -> None:
    content = bytearray((artifact / name).read_bytes())
    content[len(content) // 2] ^= 1
    (artifact / name).write_bytes(bytes(content))
    ((code, message),) = _refused(artifact)
    assert code == "M3I0602"
    assert f"`{name}`" in message
    assert "bytes" not in message  # the size is the same


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_missing_file_is_named(artifact: Path, name: str) -> None:
    (artifact / name).unlink()
    assert _refused(artifact) == [("M3I0602", f"artifact `tiny` is damaged at `{name}`: it is missing")]


def test_all_damage_is_reported_at_once(artifact: Path) -> None:
    (artifact / "recipe.ir").unlink()
    (artifact / "graph.txt").write_text("", encoding="utf-8")
    assert [message.split("`")[3] for _, message in _refused(artifact)] == ["graph.txt", "recipe.ir"]


def test_a_changed_word_in_the_manifest_is_noticed(artifact: Path) -> None:
    path = artifact / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"trained": 3136', '"trained": 3137'), encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0602"
    assert "manifest.json" in message


def test_a_manifest_made_to_fit_a_changed_recipe_has_another_fingerprint(artifact: Path) -> None:
    recipe = artifact / "recipe.canonical.m3i"
    recipe.write_text("m3i 1\nrecipe evil\n", encoding="utf-8")
    manifest = Manifest.model_validate_json((artifact / "manifest.json").read_text(encoding="utf-8"))
    content = recipe.read_bytes()
    record = manifest.files["recipe.canonical.m3i"].model_copy(
        update={"sha256": fingerprint.sha256(content), "size": len(content)}
    )
    forged = manifest.model_copy(update={"files": {**manifest.files, "recipe.canonical.m3i": record}}).sealed()
    (artifact / "manifest.json").write_text(forged.text(), encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0602"
    assert "`fingerprint`" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: {**content, "surprise": 1}, "`surprise`"),
        (lambda content: {key: value for key, value in content.items() if key != "ir_hash"}, "`ir_hash`"),
        (lambda content: {**content, "name": 7}, "`name`"),
        (lambda content: [content], "not a manifest"),
    ],
    ids=["unknown key", "missing key", "wrong type", "a list"],
)
def test_a_manifest_of_another_form_is_refused(artifact: Path, change: object, expected: str) -> None:
    path = artifact / "manifest.json"
    changed = change(json.loads(path.read_text(encoding="utf-8")))  # type: ignore[operator]
    path.write_text(json.dumps(changed), encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0602"
    assert expected in message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_no_json_is_refused(artifact: Path, content: bytes) -> None:
    (artifact / "manifest.json").write_bytes(content)
    assert [code for code, _ in _refused(artifact)] == ["M3I0602"]


def test_another_schema_is_named(artifact: Path) -> None:
    path = artifact / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "schema_version": 99, "new_field": {}}), encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0609"
    assert "schema 99" in message


def test_a_file_name_that_leads_out_of_the_folder_is_refused(artifact: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x", encoding="utf-8")
    manifest = Manifest.model_validate_json((artifact / "manifest.json").read_text(encoding="utf-8"))
    record = manifest.files["graph.txt"].model_copy(update={"sha256": fingerprint.sha256("x"), "size": 1})
    forged = manifest.model_copy(update={"files": {**manifest.files, "../../secret": record}}).sealed()
    (artifact / "manifest.json").write_text(forged.text(), encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0602"
    assert "its name is a path" in message


def test_what_is_no_artifact_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    expected = {"nowhere": "does not exist", "file": "is not a folder", "empty": "no `manifest.json`"}
    for name, words in expected.items():
        ((code, message),) = _refused(tmp_path / name)
        assert code == "M3I0601"
        assert words in message


@pytest.mark.parametrize("name", ["tiny.m3i", "shared.m3i"])
def test_a_recipe_changed_since_is_named(artifact: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("m3i 1\n# edited\n", encoding="utf-8")
    ((code, message),) = _refused(artifact)
    assert code == "M3I0603"
    assert f"{name}`" in message


def test_line_endings_do_not_make_a_recipe_another(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.m3i"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(artifact).diagnostics == ()


def test_a_recipe_that_is_gone_is_remarked_not_refused(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.m3i").unlink()
    (remark,) = load(artifact).diagnostics
    assert remark.severity is Severity.INFO
    assert "not compared" in remark.message


@pytest.mark.parametrize("package", ["m3ic", "torch", "timm"])
def test_another_version_is_named_with_both(artifact: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    then = fingerprint.current_versions()
    monkeypatch.setattr("m3i_dsl.artifact.staleness.current_versions", lambda *_: {**then, package: "99.0"})
    ((code, message),) = _refused(artifact)
    assert code == "M3I0604"
    assert f"{package} {then[package]}" in message
    assert f"{package} 99.0" in message


def test_every_reason_is_given_and_allow_stale_turns_them_into_warnings(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = fingerprint.current_versions()
    monkeypatch.setattr("m3i_dsl.artifact.staleness.current_versions", lambda *_: {**then, "torch": "99.0"})
    (tmp_path / "tiny.m3i").write_text("m3i 1\n# edited\n", encoding="utf-8")
    assert [code for code, _ in _refused(artifact)] == ["M3I0603", "M3I0604"]
    loaded = load(artifact, allow_stale=True)
    assert [diagnostic.code for diagnostic in loaded.diagnostics] == ["M3I0603", "M3I0604"]
    assert {diagnostic.severity for diagnostic in loaded.diagnostics} == {Severity.WARNING}
    assert loaded.ir == IR


def _with_data(**changes: object) -> Lock:
    return LOCK.model_copy(update={"data": {**LOCK.data, "digits": LOCK.data["digits"].model_copy(update=changes)}})


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (_with_data(samples=1798), "data `digits`: 1797 samples when compiled, 1798 now"),
        (_with_data(categories=("zero", "two", "three")), "data `digits`: categories lost `one` and gained `three`"),
        (_with_data(categories=("one", "zero", "two")), "data `digits`: categories are in another order"),
        (_with_data(fingerprint="d" * 64), "data `digits`: the same number of samples, but other content"),
        (LOCK.model_copy(update={"data": {"digits": LOCK.data["digits"]}}), "data `photos` is no longer used"),
        (
            LOCK.model_copy(
                update={"data": {**LOCK.data, "new": DataLock(samples=1, categories=(), fingerprint="e" * 64)}}
            ),
            "data `new` is new",
        ),
        (
            LOCK.model_copy(update={"files": {"weights/teacher.safetensors": "f" * 64}}),
            "file `weights/teacher.safetensors`: its content changed",
        ),
    ],
    ids=["samples", "categories", "order", "content", "gone", "new", "file"],
)
def test_data_that_changed_is_named(artifact: Path, current: Lock, expected: str) -> None:
    loaded = load(artifact)
    with pytest.raises(RecipeError) as caught:
        loaded.verify_data(current)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0605"
    assert diagnostic.message == f"artifact `tiny` is stale: {expected}"
    (warning,) = loaded.verify_data(current, allow_stale=True).diagnostics
    assert warning.severity is Severity.WARNING


def test_the_same_data_passes(artifact: Path) -> None:
    loaded = load(artifact)
    assert loaded.verify_data(LOCK) == loaded


def test_a_program_that_comes_out_otherwise_is_refused_with_the_first_difference(artifact: Path) -> None:
    loaded = load(artifact)
    assert loaded.verify_rebuilt(IR, PARAMETERS) == loaded
    grown = (*PARAMETERS[:1], ParameterRecord("image.cls_token", (1, 1, 96), "float32"))
    with pytest.raises(RecipeError) as caught:
        loaded.verify_rebuilt(IR.replace("encode[image]", "encode[momentum]"), grown)
    operations, parameters = caught.value.diagnostics
    assert (operations.code, parameters.code) == ("M3I0606", "M3I0606")
    assert operations.span.text == "%1:f32[B,64,64] = encode[image](%0)"
    assert "now: %1:f32[B,64,64] = encode[momentum](%0)" in operations.notes
    assert parameters.notes == (
        "when compiled: image.cls_token float32 [1, 1, 64]",
        "now: image.cls_token float32 [1, 1, 96]",
    )


def test_a_parameter_that_is_new_at_the_end_is_a_difference(artifact: Path) -> None:
    more = (*PARAMETERS, ParameterRecord("words.table", (256, 64), "float32"))
    with pytest.raises(RecipeError) as caught:
        load(artifact).verify_rebuilt(IR, more)
    assert caught.value.diagnostics[0].notes[0] == "when compiled: (nothing)"


def test_loading_does_not_execute_what_the_folder_holds(artifact: Path, tmp_path: Path) -> None:
    witness = tmp_path / "executed"
    for name in ("__init__.py", "sitecustomize.py", "graph.py"):
        (artifact / name).write_text(f"open({str(witness)!r}, 'w').close()\n", encoding="utf-8")
    load(artifact)
    assert not witness.exists()


def test_places_are_those_of_the_fault(artifact: Path) -> None:
    (artifact / "recipe.ir").unlink()
    with pytest.raises(RecipeError) as caught:
        load(artifact)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span.text == '"recipe.ir"'
    assert Path(diagnostic.span.file.name).name == "manifest.json"


def test_artifacts_are_values(artifact: Path) -> None:
    loaded = load(artifact)
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.ir = ""  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "7", '{"schema_version": NaN}', '{"schema_version": ' + "9" * 5000 + "}"]
)
def test_an_odd_manifest_is_damage_and_no_crash(text: str, tmp_path: Path) -> None:
    write(tmp_path / "tiny", contents(tmp_path), target=tmp_path)
    (tmp_path / "tiny/manifest.json").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "tiny")
    assert {diagnostic.code for diagnostic in caught.value.diagnostics} == {"M3I0602"}
