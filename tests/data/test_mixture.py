"""The stream of a mixture: each row's source, its own order, and the same bits whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from m3i_dsl.data.batch import Batch
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.inputs import BatchInput, FieldInput, GeometryInput, MaskInput, ViewInput
from m3i_dsl.semantics.program import Mixture, Program, Share
from m3i_dsl.vocabulary.kinds import TextEncoder
from m3i_dsl.vocabulary.masks import RandomMask
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources import Embedded, Folder
from tests.data.programs import GRID, SPAN, image_folder, program

INPUTS: Sequence[BatchInput] = (
    ViewInput("x1", "view1"),
    GeometryInput("t1", "view1"),
    MaskInput("m1", "view1", RandomMask(), GRID, 4, "view1/mask"),
    FieldInput("text", "all", "text", Text(), "words"),
    FieldInput("category", "all", "category", Category()),
)

SHARES = {"pictures": Fraction(1, 6), "digits": Fraction(1, 2), "others": Fraction(1, 3)}
"""A period of 12 rows: 2, 6 and 4."""

PERIOD = ["pictures"] * 2 + ["digits"] * 6 + ["others"] * 4
PICTURES = 20


def mixed(folder: Path, batch: int = 24) -> Program:
    """Pictures with captions of `b` and `a`, digits, and others without text in categories `0` and `c`."""
    if not (folder / "pictures").exists():
        image_folder(folder / "pictures", {"b": PICTURES // 2, "a": PICTURES // 2}, size=(24, 24))
        image_folder(folder / "others", {"0": 30, "c": 30}, size=(16, 20))
    sources = {"pictures": Folder("pictures", caption=True), "digits": Embedded("digits"), "others": Folder("others")}
    return mixture_of(program(sources, batch), *SHARES.values())


def mixture_of(of: Program, *parts: Fraction) -> Program:
    """The program with its sources mixed, and the views of the mixture."""
    shares = tuple(Share(data, part, "1", SPAN) for data, part in zip(of.data.values(), parts, strict=True))
    mixture = Mixture("all", shares, SPAN, SPAN)
    views = {name: replace(view, data=mixture) for name, view in of.views.items()}
    return replace(of, views=views, mixtures={"all": mixture})


def rows(batch: Batch, source: str) -> list[int]:
    """The rows of a batch of whole periods that are of a source."""
    return [row for row in range(len(batch.samples)) if PERIOD[row % len(PERIOD)] == source]


def own_samples(stream: Stream, batch: Batch, source: str) -> list[int]:
    """The samples of a source in a batch, as the source numbers them."""
    before = sum(len(stream.sources[name]) for name in list(SHARES)[: list(SHARES).index(source)])
    return [int(batch.samples[row]) - before for row in rows(batch, source)]


def test_every_batch_has_the_shares_and_each_source_its_own_epochs(tmp_path: Path) -> None:
    stream = Stream(mixed(tmp_path), INPUTS, base=tmp_path)
    digits = len(stream.sources["digits"])
    assert stream.steps_per_epoch == digits // 12, "of 20 / 4, 1438 / 12 and 60 / 8 steps the most"
    batches = list(stream.batches(0, 15))
    seen = {name: [own_samples(stream, batch, name) for batch in batches] for name in SHARES}
    assert [len(batch) for batch in seen["digits"]] == [12] * 15
    for epoch in range(3):
        shown = [sample for batch in seen["pictures"][5 * epoch : 5 * epoch + 5] for sample in batch]
        assert sorted(shown) == list(range(PICTURES)), "five batches of four are an epoch of the pictures"
    assert len({tuple(batch) for batch in seen["pictures"]}) > 3, "each epoch has an order of its own"
    others = [sample for batch in seen["others"][:7] for sample in batch]
    assert len(set(others)) == 7 * 8, "no sample twice before the epoch ends"
    assert {batch.epoch for batch in batches} == {0}


def test_each_row_has_the_fields_of_its_own_sample(tmp_path: Path) -> None:
    stream = Stream(mixed(tmp_path), INPUTS, base=tmp_path)
    batch = stream.batch_at(1)
    assert (len(batch["x1"]), len(batch["m1"]), len(batch["text"]), len(batch["category"])) == (24, 24, 16, 24)
    with_text = sorted(rows(batch, "pictures") + rows(batch, "digits"))
    labels: dict[int, str] = {}
    for source in SHARES:
        field = frozenset({"category"})
        known = stream.program.data[source].source.word.describe(tmp_path).categories
        for row, sample in zip(rows(batch, source), own_samples(stream, batch, source), strict=True):
            label = stream.sources[source].read(sample, field)["category"]
            assert label is not None
            labels[row] = known[label]
    names = list(dict.fromkeys(["a", "b", *map(str, range(10)), "c"]))
    assert [names[label] for label in batch["category"].tolist()] == [labels[row] for row in range(24)]
    words = stream.program.encoders["words"].word.word
    assert isinstance(words, TextEncoder)
    for place, row in enumerate(with_text):
        source = PERIOD[row % len(PERIOD)]
        sample = own_samples(stream, batch, source)[rows(batch, source).index(row)]
        text = stream.sources[source].read(sample, frozenset({"text"}))["text"]
        assert text is not None
        assert torch.equal(batch["text"][place], torch.from_numpy(words.tokenize([text], tmp_path))[0])


def test_sources_of_one_size_are_drawn_and_ordered_apart(tmp_path: Path) -> None:
    """Two sources of the same images: row by row other samples, and one sample is augmented otherwise in each."""
    image_folder(tmp_path / "one", {"a": 16})
    image_folder(tmp_path / "two", {"a": 16})
    of = mixture_of(program({"one": Folder("one"), "two": Folder("two")}, 32), Fraction(1, 2), Fraction(1, 2))
    batch = Stream(of, INPUTS[:3], base=tmp_path).batch_at(0)
    pairs = batch.samples.reshape(-1, 2, 2)
    first, second = pairs[:, 0].flatten(), pairs[:, 1].flatten() - 16
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(16))
    assert first.tolist() != second.tolist()
    geometry = batch["t1"].unflatten(0, (-1, 2, 2))
    of_first, of_second = geometry[:, 0].flatten(0, 1), geometry[:, 1].flatten(0, 1)
    assert not torch.equal(of_first[np.argsort(first)], of_second[np.argsort(second)])


def test_the_batches_are_the_same_whoever_reads_them(tmp_path: Path) -> None:
    """Chunks of 64 rows begin in the middle of a period of 12; of runs of 34 and 166 rows, some have one source."""
    image_folder(tmp_path / "few", {"a": 40})
    few = program({"few": Folder("few", caption=True), "digits": Embedded("digits")}, 200)
    of_few = mixture_of(few, Fraction(17, 100), Fraction(83, 100))
    for of, inputs in ((mixed(tmp_path, batch=120), INPUTS), (of_few, INPUTS[:4])):
        alone = Stream(of, inputs, base=tmp_path).batches(3, 5)
        spread = Stream(of, inputs, base=tmp_path, workers=2).batches(3, 5)
        for one, other in zip(alone, spread, strict=True):
            assert one.samples.tolist() == other.samples.tolist()
            assert all(torch.equal(one[name], other[name]) for name in one)


def test_processes_have_whole_periods_and_together_the_batch(tmp_path: Path) -> None:
    of = mixed(tmp_path, batch=48)
    whole = Stream(of, INPUTS, base=tmp_path).batch_at(2)
    parts = [Stream(of, INPUTS, base=tmp_path, rank=rank, world=4).batch_at(2) for rank in range(4)]
    assert np.concatenate([part.samples for part in parts]).tolist() == whole.samples.tolist()
    for name in whole:
        assert {len(part[name]) for part in parts} == {len(whole[name]) // 4}
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])
    with pytest.raises(RecipeError, match="periods of 12 samples of the mixture"):
        Stream(of, INPUTS, base=tmp_path, rank=0, world=8)
