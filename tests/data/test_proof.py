"""Data is proven when a recipe is compiled: both splits, each field that is read, at the argument that is at fault."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m3i_dsl import driver
from m3i_dsl.data.describe import describe_data
from m3i_dsl.diagnostics import Diagnostics, RecipeError
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.kinds import spread
from tests.data.programs import encoded, image_folder, picture
from tests.data.shards import sample, write_tar

RECIPE = """
m3i 1
recipe proven

data images = {source}
view view1 of images.image = crop(32px)

encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 3)
{texts}
objective o {{
  input     view1
  represent dense feature of image

  target t {{
{target}
  }}
}}

train {{
  batch     4
  epochs    1
  optimizer adamw(lr: 1e-3)
}}
{evaluate}
"""
CATEGORY = """    data           category
    representation category embedding
    predictor      identity
    regularization negative categories
    distribution   boltzmann"""
TEXT = """    data           text
    representation text embedding of words
    predictor      mlp(hidden: 32)
    regularization negative texts
    distribution   boltzmann"""
PIXELS = """    data           view1
    representation dense pixels
    predictor      linear
    regularization none
    distribution   gaussian"""
WORDS = "encoder words = transformer(width: 24, layers: 1, heads: 3, context: 24)"
KNN = "evaluate {\n  knn(k: 1) at end\n}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))


def found(base: Path, source: str, target: str = CATEGORY, evaluate: str = "") -> list[tuple[str, str, str]]:
    """Code, text of the place, and the message with its notes of each diagnostic of compiling."""
    text = RECIPE.format(source=source, target=target, texts=WORDS if target is TEXT else "", evaluate=evaluate)
    program = driver.check_file(SourceFile("proven.m3i", text)).required()
    remarks = Diagnostics()
    try:
        describe_data(program, driver.graphs(program)[1], base, remarks)
        said: Sequence[object] = tuple(remarks)
    except RecipeError as fault:
        said = fault.diagnostics
    return [(d.code, d.span.text, " ".join((d.message, *d.notes, *d.helps))) for d in said]  # type: ignore[attr-defined]


def test_good_data_has_nothing_said_of_it(tmp_path: Path) -> None:
    image_folder(tmp_path / "a", {"cat": 4, "dog": 4})
    image_folder(tmp_path / "b", {"cat": 2, "dog": 2})
    (tmp_path / "b" / "cat" / "00.png").write_bytes(encoded(picture(99), "PNG"))
    assert found(tmp_path, 'folder("a", caption: true, test: "b")', TEXT, KNN) == []


@pytest.mark.parametrize("evaluate", ["", KNN])
def test_a_held_out_split_is_opened_whether_it_is_evaluated_or_not(tmp_path: Path, evaluate: str) -> None:
    image_folder(tmp_path / "a", {"cat": 4, "dog": 4})
    image_folder(tmp_path / "b", {"zebra": 4})
    (code, place, _), *others = found(tmp_path, 'folder("a", caption: true, test: "nowhere")', evaluate=evaluate)
    assert (code, place, others) == ("M3I0501", '"nowhere"', [])
    (code, place, text), *others = found(tmp_path, 'folder("a", caption: true, test: "b")', evaluate=evaluate)
    assert (code, place, others) == ("M3I0501", '"b"', [])
    assert "`zebra`" in text


def test_pixels_that_no_image_may_have_are_refused_with_their_reason(tmp_path: Path) -> None:
    image_folder(tmp_path / "a", {"cat": 4, "dog": 4})
    file = io.BytesIO()
    Image.fromarray(np.zeros((24, 24), np.float32)).save(file, "TIFF")
    for root in ("good", "bad"):
        for path in sorted((tmp_path / "a").rglob("*.png")):
            target = tmp_path / root / path.relative_to(tmp_path / "a")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes() if root == "good" else file.getvalue())
    (code, place, text), *_ = found(tmp_path, 'folder("bad")')
    assert (code, place) == ("M3I0510", '"bad"')
    assert "floating-point" in text
    (code, place, text), *_ = found(tmp_path, 'folder("good", test: "bad")', evaluate=KNN)
    assert (code, place) == ("M3I0510", '"bad"')
    assert "held-out" in text


def test_only_fields_that_are_read_are_proven(tmp_path: Path) -> None:
    members = {f"{n:02}": {**sample(n), "json": json.dumps({"caption": 7, "url": ""}).encode()} for n in range(8)}
    write_tar(tmp_path / "a.tar", members)
    source = 'tar("a.tar", caption: "json.caption", category: "cls")'
    assert found(tmp_path, source) == []
    (code, place, text), *_ = found(tmp_path, source, TEXT)
    assert (code, place) == ("M3I0510", '"json.caption"')
    assert "a number (7)" in text
    (code, place, text), *_ = found(tmp_path, source.replace("json.caption", "json.captions"), TEXT)
    assert (code, place) == ("M3I0510", '"json.captions"')
    assert "`caption`, `url`" in text


def test_some_broken_samples_warn_with_their_number(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 8, "dog": 8})
    for number in (1, 2, 5):
        (root / "cat" / f"{number:02}.png").write_bytes(b"")
    (code, place, text), *others = found(tmp_path, 'folder("a", caption: true)', PIXELS)
    assert (code, place, others) == ("M3I0511", '"a"', [])
    assert "3 of 16 samples tried" in text
    assert "cat/01.png: an empty file" in text


def test_one_category_is_refused_where_categories_are_read(tmp_path: Path) -> None:
    image_folder(tmp_path / "a", {"cat": 8})
    source = 'folder("a", caption: true)'
    assert [(code, place) for code, place, _ in found(tmp_path, source)] == [("M3I0512", '"a"')]
    assert found(tmp_path, source, PIXELS) == []


def test_a_held_out_split_that_is_the_training_split_is_refused(tmp_path: Path) -> None:
    image_folder(tmp_path / "a", {"cat": 4, "dog": 4})
    source = 'folder("a", caption: true, test: "a")'
    assert [(code, place) for code, place, _ in found(tmp_path, source)] == [("M3I0513", '"a"')]
    copied = image_folder(tmp_path / "b", {"cat": 4, "dog": 4})
    assert [code for code, *_ in found(tmp_path, source.replace('test: "a"', 'test: "b"'))] == ["M3I0513"], "a copy"
    (copied / "cat" / "00.txt").write_text("another")
    assert found(tmp_path, source.replace('test: "a"', 'test: "b"')) == []


def test_texts_that_are_all_equal_warn(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {f"{n}": {**sample(n), "txt": b"a photo"} for n in range(8)})
    (code, place, text), *others = found(tmp_path, 'tar("a.tar", caption: "txt")', TEXT)
    assert (code, place, others) == ("M3I0514", '"txt"', [])
    assert "`a photo`" in text


def test_files_left_out_are_said(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "a", {"cat": 4, "dog": 4})
    (root / "cat" / "x.psd").write_bytes(b"?")
    (code, _, text), *others = found(tmp_path, 'folder("a", caption: true)')
    assert (code, others) == ("M3I0515", [])
    assert text.startswith("data `images` has 1 file that is no image and is left out: 1 .psd")


def test_samples_of_every_shard_are_proven_within_a_bound() -> None:
    assert spread(np.array([5])).tolist() == [0, 1, 2, 3, 4]
    assert {0, 9, 10, 29}.issubset(spread(np.array([10, 0, 20])).tolist())
    many = spread(np.full(10_000, 1000))
    assert len(many) == 32
    assert {0, 999, 9_999_000, 9_999_999}.issubset(many.tolist())
