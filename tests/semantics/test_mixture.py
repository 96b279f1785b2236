"""Mixtures in the checker: shares, fields, the pattern of rows, and what the graph makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3i_dsl.driver import check_file, graphs, resolve
from m3i_dsl.ir.text import read, without_places, write
from m3i_dsl.semantics.categories import categories_of, labels_in
from m3i_dsl.semantics.checks.evaluation import evaluated_data
from m3i_dsl.semantics.pattern import Pattern, nearest_shares
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.kinds import Modality
from m3i_dsl.vocabulary.modalities import Category, Image, Text
from m3i_dsl.vocabulary.sources.folder import Folder

RECIPE = """
m3i 1
recipe mixed

param most = 75%

data pairs  = folder("pairs", caption: true, category: false, canvas: 32px)
data photos = folder("photos", test: "held_out", canvas: 32px)
data all    = mixture(pairs: most, photos: 25%)

view view1 of all.image = crop(32px)

encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3)
encoder words = transformer(width: 36, layers: 1, heads: 3, context: 12)

objective o {
  input     view1
  represent dense feature of image

  target caption {
    data           text
    representation text embedding of words
    predictor      attention pool(heads: 3)
    regularization negative texts
    distribution   boltzmann
  }
  target category {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann
  }
}

train {
  batch     64
  epochs    1
  optimizer adamw(lr: 1e-3)
}

evaluate {
  knn at end
}
"""

EQUATIONS = """\
%0: f32[B, 17, 36] = encode(%view1, none, none) {module: image, tokens: all, visible: 16, taps: 0, embed: all}
%1: f32[3B/4, 12, 36] = encode_text(%all_text) {module: words}
%2: f32[3B/4, 36] = pool_text(%1, %all_text) {mode: mean}
%3: f32[3B/4, 36] = represent(%2) {module: o_caption, tokens: 0}
%4: f32[3B/4, 17, 36] = rows(%0) {period: 8, which: "0:6"}
%5: f32[3B/4, 36] = predict_pooled(%4, none) {module: o_caption, prefix: 1}
"""
"""Where the graph begins: the image encoder sees all rows, the text encoder those with a text."""


def checked(text: str = RECIPE) -> Program:
    return check_file(SourceFile("mixed.m3i", text)).required()


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in check_file(SourceFile("mixed.m3i", text)).diagnostics]


# --- the pattern ------------------------------------------------------------------------------------------------------

SHARES = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(
    lambda parts: {f"s{i}": Fraction(part, sum(parts)) for i, part in enumerate(parts)}
)


@given(SHARES, st.integers(1, 4))
def test_a_period_has_the_shares_and_so_has_every_slice_of_periods(shares: Mapping[str, Fraction], slices: int) -> None:
    pattern = Pattern.of(shares)
    rows = [run.source for run in pattern.runs for _ in range(run.rows)]
    assert len(rows) == pattern.period
    assert all(one == two for one, two in zip(rows[::2], rows[1::2], strict=True)), "pairs are of one source"
    assert {name: Fraction(rows.count(name), len(rows)) for name in shares} == shares
    batch = rows * slices
    for name in shares:
        counted = [sum(row == name for row in batch[:end]) for end in range(len(batch) + 1)]
        assert [pattern.own(name, end) for end in range(len(batch) + 1)] == counted
    chosen = [row for first, end in pattern.chosen(["s0", "s1"]) for row in range(first, end)]
    assert chosen == [row for row, name in enumerate(rows) if name in ("s0", "s1")]


@given(SHARES, st.integers(1, 40))
def test_suggested_shares_sum_to_the_parts_and_leave_no_source_out(shares: Mapping[str, Fraction], parts: int) -> None:
    found = nearest_shares(shares, parts)
    if found is None:
        assert parts < len(shares)
    else:
        assert sum(found.values()) == parts
        assert min(found.values()) >= 1


# --- the program ------------------------------------------------------------------------------------------------------


def test_shares_are_exact_and_are_written_as_the_recipe_has_them() -> None:
    program = checked()
    (mixture,) = program.mixtures.values()
    assert [share.part for share in mixture.shares] == [Fraction(3, 4), Fraction(1, 4)]
    assert mixture.fields == {"image": Image(), "text": Text(), "category": Category()}
    assert [name for name in mixture.fields if mixture.is_whole(name)] == ["image"]
    assert "data all    = mixture(pairs: 75%, photos: 25%)" in resolve(program)
    assert resolve(checked(resolve(program))) == resolve(program)
    thirds = checked(RECIPE.replace("pairs: most, photos: 25%", "pairs: 2, photos: 1").replace("64", "60"))
    assert [share.part for share in thirds.mixtures["all"].shares] == [Fraction(2, 3), Fraction(1, 3)]
    odd = "pairs: 96.6%, photos: 3.4%"
    assert checked(RECIPE.replace("pairs: most, photos: 25%", odd).replace("64", "1000")).unit == 1000


def test_the_processes_that_can_share_a_batch_have_whole_periods() -> None:
    assert checked().unit == 8
    assert checked().possible_shares() == (1, 2, 4, 8)
    assert not checked().can_share(16)


def test_a_view_is_of_an_image_that_every_source_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def fields(self: Folder) -> dict[str, Modality]:
        return {"image": Image(), "depth" if self.caption else "category": Image() if self.caption else Category()}

    monkeypatch.setattr(Folder, "fields", fields)
    found = check_file(SourceFile("mixed.m3i", RECIPE.replace("of all.image", "of all.depth"))).diagnostics
    said = "a view is of every sample, but some of `all` have no `depth`"
    assert [(d.code, d.span.text, d.message) for d in found if d.code == "M3I0211"] == [("M3I0211", "depth", said)]


def test_a_field_is_of_one_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    def fields(self: Folder) -> dict[str, Modality]:
        return {"image": Image(), "label": Text() if self.caption else Category()}

    monkeypatch.setattr(Folder, "fields", fields)
    assert "M3I0322" in codes(RECIPE)


def test_evaluation_is_on_the_first_source_with_categories_and_held_out_samples() -> None:
    program = checked()
    found = evaluated_data(program.mixtures["all"])
    assert found is not None
    assert found.name == "photos"
    assert codes(RECIPE.replace(' test: "held_out",', "")) == ["M3I0317"]
    assert codes(RECIPE.replace("caption: true, category: false", "caption: true")) == []


def test_an_unread_mixture_does_not_bind_the_batch() -> None:
    text = RECIPE.replace("view view1 of all.image", "view view1 of photos.image").replace("batch     64", "batch 62")
    start, end = text.index("  target caption"), text.index("  target category")
    found = codes(text[:start] + text[end:])
    assert "M3I0324" not in found
    assert found.count("M3I0806") == 2, "the mixture and the text encoder are not read"


# --- the graph --------------------------------------------------------------------------------------------------------


def test_the_text_encoder_runs_on_rows_with_a_text_only() -> None:
    plain, graph = graphs(checked())
    text = write(graph)
    assert read(text) == graph
    assert without_places(text[text.index("%0:") :]).startswith(EQUATIONS)
    types = {i.source.name: str(i.value.type) for i in plain.inputs}
    assert types == {"view1": "f32[B, 3, 32, 32]", "all_text": "i64[3B/4, 12]", "all_category": "i64[B/4]"}


# --- categories -------------------------------------------------------------------------------------------------------


def test_a_category_is_known_by_its_name() -> None:
    data = checked(RECIPE.replace("caption: true, category: false", "caption: true")).mixtures["all"]
    found = {"pairs": ("cat", "dog"), "photos": ("ant", "dog", "bee")}
    assert categories_of(data, found) == ("cat", "dog", "ant", "bee")
    assert labels_in(data, "pairs", found) == (0, 1)
    assert labels_in(data, "photos", found) == (2, 1, 3)
