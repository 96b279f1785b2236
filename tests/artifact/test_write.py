"""Writing: the same bytes for the same input, nothing of the machine, the pointer, and folders that must not go."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from m3i_dsl.artifact import Artifact, ArtifactContents, latest, load, note_failure, set_latest, write
from m3i_dsl.artifact.manifest import KNOWN_FILES, PLAN, REQUIRED_FILES
from m3i_dsl.diagnostics import RecipeError, error
from m3i_dsl.source import SourceFile, Span
from tests.artifact.contents import IR, LOCK, contents


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _build(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    write(root / "target" / "tiny", contents(root), target=root / "target")
    return root / "target" / "tiny"


def test_two_clones_in_different_places_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = _build(tmp_path / "here"), _build(tmp_path / "over_there")
    assert _bytes(first) == _bytes(second)
    assert set(_bytes(first)) == {"manifest.json", *REQUIRED_FILES}


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    before = _bytes(_build(tmp_path))
    assert _bytes(_build(tmp_path)) == before


def test_the_order_of_dictionaries_does_not_matter(tmp_path: Path) -> None:
    original = contents(tmp_path)
    shuffled = dataclasses.replace(
        original,
        settings=dict(reversed(list(original.settings.items()))),
        parameters=tuple(reversed(original.parameters)),
        lock=LOCK.model_copy(update={"data": dict(reversed(list(LOCK.data.items())))}),
    )
    write(tmp_path / "a", original, target=tmp_path)
    write(tmp_path / "b", shuffled, target=tmp_path)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")


def test_nothing_of_the_machine_gets_in(tmp_path: Path) -> None:
    for name, content in _bytes(_build(tmp_path)).items():
        assert str(tmp_path).encode() not in content, name
        assert str(Path.home()).encode() not in content, name


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "m3i 1\nrecipe other\n"},
        {"ir": IR + "%2:f32[] = loss(%1)\n"},
        {"lock": LOCK.model_copy(update={"files": {}})},
        {"parameters": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_depends_on_each_part(tmp_path: Path, change: dict[str, object]) -> None:
    original = contents(tmp_path)
    changed: ArtifactContents = dataclasses.replace(original, **change)  # type: ignore[arg-type]
    one = write(tmp_path / "a", original, target=tmp_path)
    two = write(tmp_path / "b", changed, target=tmp_path)
    assert one.fingerprint != two.fingerprint


def test_the_fingerprint_ignores_the_listing_for_people(tmp_path: Path) -> None:
    original = contents(tmp_path)
    one = write(tmp_path / "a", original, target=tmp_path)
    two = write(tmp_path / "b", dataclasses.replace(original, graph="another listing\n"), target=tmp_path)
    assert one.fingerprint == two.fingerprint


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    given = dataclasses.replace(contents(tmp_path), plan='{"calls": 1}\n')
    write(tmp_path / "tiny", given, target=tmp_path)
    artifact = load(tmp_path / "tiny")
    assert isinstance(artifact, Artifact)
    assert (artifact.recipe, artifact.ir, artifact.graph, artifact.plan) == (
        given.recipe,
        given.ir,
        given.graph,
        given.plan,
    )
    assert artifact.lock == given.lock
    assert artifact.manifest.summary == given.summary
    assert artifact.manifest.settings == given.settings
    assert artifact.manifest.sources.keys() == {"../tiny.m3i", "../shared.m3i"}
    assert artifact.manifest.diagnostics[0].place == "../tiny.m3i:2:1"
    assert artifact.base.resolve() == tmp_path.resolve()
    assert artifact.diagnostics == ()
    assert (tmp_path / "tiny" / PLAN).is_file()


def test_a_recipe_from_standard_input_leaves_no_source(tmp_path: Path) -> None:
    given = dataclasses.replace(contents(tmp_path), sources=(SourceFile("<stdin>", "m3i 1\n"),), diagnostics=())
    manifest = write(tmp_path / "tiny", given, target=tmp_path)
    assert manifest.source is None
    assert manifest.sources == {}
    assert load(tmp_path / "tiny").base == Path()


def test_the_manifest_is_sorted_json_with_a_final_newline(tmp_path: Path) -> None:
    text = (_build(tmp_path) / "manifest.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_the_last_one_written_is_the_latest(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for name in ("one", "two"):
        write(target / name, contents(tmp_path), target=target)
        assert latest(target) == target / name
    assert (target / "latest").read_text(encoding="utf-8") == "two\n"


def test_after_a_failed_compilation_there_is_no_latest_until_one_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "target"
    note_failure("b/bad.m3i", target)
    assert not target.exists(), "there is nothing that could be taken by mistake"
    write(target / "one", contents(tmp_path), target=target)
    note_failure("b/bad.m3i", target)
    with pytest.raises(RecipeError) as caught:
        latest(target)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0611"
    assert "`b/bad.m3i`" in diagnostic.message
    assert f"m3ic train {target / 'one'}" in diagnostic.helps[0]
    write(target / "two", contents(tmp_path), target=target)
    assert latest(target) == target / "two"


def test_the_pointer_leads_out_of_its_folder_and_survives_a_move(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write(project / "elsewhere" / "tiny", contents(project), target=project / "target")
    project.rename(tmp_path / "moved")
    pointed = latest(tmp_path / "moved" / "target")
    assert pointed == tmp_path / "moved" / "elsewhere" / "tiny"
    assert load(pointed).diagnostics == ()


def test_without_a_pointer_the_message_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        latest(tmp_path / "target")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0607"
    assert any("m3ic compile" in text for text in diagnostic.helps)


@pytest.mark.parametrize("content", ["", "one\ntwo\n", "a\0b\n"])
def test_a_damaged_pointer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "latest").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        latest(tmp_path)
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["M3I0607"]


def test_the_pointer_is_set_for_a_folder_of_any_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_latest(Path("out/tiny"))
    assert latest() == Path("out/tiny")


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        write(precious, contents(tmp_path), target=tmp_path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "M3I0608"
    assert "chapter.tex" in diagnostic.message
    assert (precious / "chapter.tex").read_text(encoding="utf-8") == "years of work"
    assert not (tmp_path / "latest").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        write(tmp_path / "tiny", contents(tmp_path), target=tmp_path)
    assert caught.value.diagnostics[0].code == "M3I0608"
    assert (tmp_path / "tiny").read_text(encoding="utf-8") == "a file"


def test_a_link_to_an_artifact_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", contents(tmp_path), target=tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", dataclasses.replace(contents(tmp_path), graph="new\n"), target=tmp_path)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "graph.txt").read_text(encoding="utf-8") == "new\n"


def test_a_file_that_the_new_artifact_lacks_is_gone(tmp_path: Path) -> None:
    write(tmp_path / "tiny", dataclasses.replace(contents(tmp_path), plan="{}\n"), target=tmp_path)
    write(tmp_path / "tiny", contents(tmp_path), target=tmp_path)
    assert not (tmp_path / "tiny" / PLAN).exists()
    assert {path.name for path in (tmp_path / "tiny").iterdir()} <= set(KNOWN_FILES)


def test_a_program_with_errors_has_no_artifact(tmp_path: Path) -> None:
    given = contents(tmp_path)
    faulty = error("M3I0304", "wrong", Span(given.sources[0], 0, 1))
    with pytest.raises(ValueError, match="error"):
        write(tmp_path / "tiny", dataclasses.replace(given, diagnostics=(faulty,)), target=tmp_path)
    assert not (tmp_path / "tiny").exists()
