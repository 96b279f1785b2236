"""`use`: what of other files becomes part of a recipe, and what is said when it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from m3i_dsl.diagnostics import MOST_ERRORS
from m3i_dsl.source import DISK, LARGEST, Disk, InMemory, SourceFile, UnreadableFile, read_file
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import Loaded, load_recipe


def _load(**texts: str) -> Loaded:
    """The recipe `main`, with the other texts as files `name.m3i` to use; `__` in a name is a folder."""
    files = {f"{name.replace('__', '/')}.m3i": text for name, text in texts.items()}
    return load_recipe(SourceFile("main.m3i", files["main.m3i"]), InMemory(files))


def _said(loaded: Loaded) -> list[tuple[str, str]]:
    return [(d.code, str(d.span)) for d in loaded.diagnostics]


def _params(loaded: Loaded) -> list[str]:
    return [d.name.text for d in loaded.recipe.declarations if isinstance(d, ast.Param)]


def test_used_declarations_come_first_and_the_header_before_them() -> None:
    loaded = _load(
        main='m3i 1\nrecipe r\nparam c = 1\nuse "a.m3i"\nuse "b.m3i"\nparam d = 1\n',
        a="m3i 1\nparam a = 1\n",
        b="param b = 1\n",
    )
    assert _said(loaded) == []
    assert [type(d).__name__ for d in loaded.recipe.declarations[:2]] == ["Version", "RecipeName"]
    assert _params(loaded) == ["a", "b", "c", "d"]
    assert [source.name for source in loaded.sources] == ["main.m3i", "a.m3i", "b.m3i"]
    assert not any(isinstance(d, ast.Use) for d in loaded.recipe.declarations)


def test_a_span_knows_how_its_file_was_used() -> None:
    loaded = _load(main='# first\nuse "a.m3i"\n', a='use "b.m3i"\n', b="param first = 1\n")
    (param,) = loaded.recipe.declarations
    assert str(param.span) == "b.m3i:1:1", "the very first token of a used file"
    by_a = param.span.file.included_from
    assert by_a is not None and str(by_a) == "a.m3i:1:1"
    by_main = by_a.file.included_from
    assert by_main is not None and str(by_main) == "main.m3i:2:1"
    assert by_main.file.included_from is None


def test_a_file_is_read_once() -> None:
    loaded = _load(main='use "a.m3i"\nuse "b.m3i"\nuse "./a.m3i"\n', a="param a = 1\n", b='use "a.m3i"\nparam b = 1\n')
    assert _said(loaded) == []
    assert _params(loaded) == ["a", "b"]


def test_a_path_starts_at_the_folder_of_its_file() -> None:
    loaded = _load(main='use "parts/a.m3i"\n', parts__a='use "b.m3i"\n', parts__b='use "../c.m3i"\n', c="param c = 1\n")
    assert _said(loaded) == []
    assert _params(loaded) == ["c"]


def test_a_circle_is_shown() -> None:
    loaded = _load(main='use "a.m3i"\n', a='use "b.m3i"\nparam a = 1\n', b='use "a.m3i"\n')
    (fault,) = loaded.diagnostics
    assert fault.code == "M3I0102"
    assert fault.message == "files use each other in a circle: `a.m3i` uses `b.m3i` uses `a.m3i`"
    assert str(fault.span) == "b.m3i:1:5"
    assert [str(label.span) for label in fault.secondary] == ["a.m3i:1:1"]
    assert _params(loaded) == ["a"]


def test_a_file_that_uses_itself() -> None:
    (fault,) = _load(main='use "main.m3i"\n').diagnostics
    assert (fault.code, fault.message) == ("M3I0102", "`main.m3i` uses itself")


def test_a_missing_file_names_what_was_meant() -> None:
    (fault,) = _load(main='use "vievs.m3i"\n', views="").diagnostics
    assert (fault.code, fault.span.text) == ("M3I0101", '"vievs.m3i"')
    assert fault.helps == ("did you mean `views.m3i`?",)


def test_only_the_main_file_says_how_to_train() -> None:
    loaded = _load(main='use "a.m3i"\n', a="recipe x\ntrain {\n}\nevaluate {\n}\nparam a = 1\n")
    assert _said(loaded) == [("M3I0104", "a.m3i:1:1"), ("M3I0104", "a.m3i:2:1"), ("M3I0104", "a.m3i:4:1")]
    assert _params(loaded) == ["a"]
    assert len(loaded.recipe.declarations) == 1


def test_faults_in_used_files_are_reported_with_the_others() -> None:
    loaded = _load(main='use "a.m3i"\nparam x 1\n', a="param y 1\nparam a = 1\n")
    assert _said(loaded) == [("M3I0015", "a.m3i:1:9"), ("M3I0015", "main.m3i:2:9")]
    assert _params(loaded) == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m3i 1\nm3i 1\n", [("M3I0042", "main.m3i:2:1")]),
        ("recipe a\nrecipe b\n", [("M3I0042", "main.m3i:2:1")]),
        ("recipe a\nm3i 1\n", [("M3I0042", "main.m3i:2:1")]),
        ("m3i 2\n", [("M3I0040", "main.m3i:1:5")]),
        ("m3i 1px\n", [("M3I0040", "main.m3i:1:5")]),
        ("m3i 1\nrecipe a\n", []),
    ],
)
def test_the_header(text: str, said: list[tuple[str, str]]) -> None:
    assert _said(_load(main=text)) == said


def test_from_disk(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "main.m3i").write_text('use "parts/a.m3i"\nuse "parts"\nuse "b.m3i"\n', encoding="utf-8")
    (tmp_path / "parts" / "a.m3i").write_bytes(b"\xef\xbb\xbfparam a = 1\r\n")
    (tmp_path / "b.m3i").write_bytes(b"param b = \xff\n")
    loaded = load_recipe(read_file(tmp_path / "main.m3i"), DISK)
    assert _params(loaded) == ["a"]
    assert [(d.code, d.span.text) for d in loaded.diagnostics] == [("M3I0103", '"parts"'), ("M3I0103", '"b.m3i"')]
    assert loaded.sources[1].text == "param a = 1\r\n", "without the byte order mark, otherwise as it is"


def test_a_file_in_memory_comes_before_the_one_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a.m3i").write_text("param disk = 1\n", encoding="utf-8")
    main, a = str(tmp_path / "main.m3i"), str(tmp_path / "a.m3i")
    file = SourceFile(main, 'use "a.m3i"\n')
    assert _params(load_recipe(file, InMemory({}, Disk()))) == ["disk"]
    assert _params(load_recipe(file, InMemory({a: "param buffer = 1\n"}, Disk()))) == ["buffer"]


def test_what_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="folder"):
        read_file(tmp_path)


def test_what_has_no_end_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "large").write_bytes(b"#" * (LARGEST + 1))
    (tmp_path / "most").write_bytes(b"#" * LARGEST)
    faults = {"pipe": "a pipe", "loop": "symbolic", "large": "larger than 1 MiB", "zero\0byte": "zero byte"}
    for name, why in faults.items():
        with pytest.raises(UnreadableFile, match=why):
            read_file(tmp_path / name)
    with pytest.raises(UnreadableFile, match="a device"):
        read_file(Path("/dev/zero"))
    assert len(read_file(tmp_path / "most").text) == LARGEST


def test_a_row_of_files_that_use_each_other_has_an_end() -> None:
    texts = {f"f{i}": f'use "f{i + 1}.m3i"\n' for i in range(2000)}
    (fault,) = _load(main='use "f0.m3i"\n', **texts).diagnostics
    assert (fault.code, str(fault.span)) == ("M3I0140", "f63.m3i:1:5")


def test_errors_without_end_are_cut_and_said_to_be() -> None:
    loaded = _load(main="".join(f'use "missing{i}.m3i"\n' for i in range(300)))
    assert len(loaded.diagnostics) == MOST_ERRORS and loaded.diagnostics.cut
    assert list(loaded.diagnostics)[-1].notes[-1] == f"more than {MOST_ERRORS} errors: the others are left out"
