"""The stream: a batch is a function of the step, however it is made."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from m3i_dsl.data.batch import Batch
from m3i_dsl.data.loader import CHUNK, decoded
from m3i_dsl.data.reading import fields_needed
from m3i_dsl.data.sources import SourceFault
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.inputs import FieldInput, GeometryInput, ViewInput
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Dataset, Sample
from m3i_dsl.vocabulary.masks import BlocksMask, RandomMask
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources import Embedded, Folder, Parquet
from m3i_dsl.vocabulary.transforms import Crop
from tests.data.programs import ALL_INPUTS, GRID, digits, encoded, image_folder, picture, program, shared_data

HERE = Path()
PLAIN_INPUTS = (ViewInput("x1", "view1"), FieldInput("category", "images", "category", Category()))


def assert_same(first: Sequence[Batch], second: Sequence[Batch]) -> None:
    """Bit for bit, in every input."""
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert (one.step, one.epoch) == (other.step, other.epoch)
        assert one.samples.tolist() == other.samples.tolist()
        assert list(one) == list(other)
        for name in one:
            assert torch.equal(one[name], other[name]), f"{name} at step {one.step}"


def test_a_batch_has_every_input_in_its_shape() -> None:
    stream = Stream(digits(96), ALL_INPUTS, base=HERE)
    batch = stream.batch_at(3)
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in batch.items()} == {
        "x1": ((96, 3, 16, 16), torch.float32),
        "x2": ((96, 3, 16, 16), torch.float32),
        "t1": ((96, 6), torch.float32),
        "t2": ((96, 6), torch.float32),
        "m1": ((96, 16), torch.bool),
        "m2": ((96, 16), torch.bool),
        "text": ((96, 48), torch.int64),
        "category": ((96,), torch.int64),
    }
    assert batch.inputs == dict(batch)
    assert all(tensor.is_contiguous() for tensor in batch.values())
    assert (batch.step, batch.epoch, batch.broken) == (3, 0, ())


def test_the_rows_of_all_inputs_are_of_the_same_samples() -> None:
    stream = Stream(digits(96), ALL_INPUTS, base=HERE)
    batch = stream.batch_at(20)
    assert batch.epoch == 1
    source = Embedded("digits").open(HERE)
    samples = [source.read(int(index), frozenset({"image", "text", "category"})) for index in batch.samples]
    assert batch["category"].tolist() == [sample["category"] for sample in samples]
    assert [bytes(row[1 : row.tolist().index(258)].sub(1).byte().tolist()).decode() for row in batch["text"]] == [
        sample["text"] for sample in samples
    ]
    draws = Draws(0, 1, batch.samples, "view1/mask")
    assert torch.equal(batch["m1"], torch.from_numpy(RandomMask().sample(draws, GRID, 4)))
    draws = Draws(0, 1, batch.samples, "view2/mask")
    assert torch.equal(batch["m2"], torch.from_numpy(BlocksMask(minimum=2).sample(draws, GRID, 4)))
    top, left, height, width, flip, image_width = batch["t1"].T
    assert ((top + height <= 8) & (left + width <= 8)).all()
    assert set(flip.tolist()) == {0.0, 1.0}
    assert set(image_width.tolist()) == {8.0}
    assert not torch.equal(batch["t1"], batch["t2"])


def test_an_epoch_shows_each_sample_once_and_drops_the_rest() -> None:
    stream = Stream(digits(96), (FieldInput("category", "digits", "category", Category()),), base=HERE)
    steps = stream.steps_per_epoch
    assert steps == 1438 // 96
    epochs = [np.concatenate([b.samples for b in stream.batches(e * steps, (e + 1) * steps)]) for e in range(2)]
    for shown in epochs:
        assert len(set(shown.tolist())) == len(shown) == steps * 96
    assert epochs[0].tolist() != epochs[1].tolist()
    assert set(epochs[0].tolist()) != set(epochs[1].tolist()), "other samples are dropped in each epoch"


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    recipe = digits(CHUNK + 30)  # a batch of a whole chunk and a part of one
    alone = list(Stream(recipe, ALL_INPUTS, base=HERE).batches(14, 18))
    assert [batch.epoch for batch in alone] == [0, 1, 1, 1]
    spread = list(Stream(recipe, ALL_INPUTS, base=HERE, workers=workers).batches(14, 18))
    assert_same(alone, spread)


def test_a_stream_entered_later_goes_on_the_same() -> None:
    recipe = digits(96)
    whole = list(Stream(recipe, ALL_INPUTS, base=HERE).batches(0, 6))
    resumed = list(Stream(recipe, ALL_INPUTS, base=HERE).batches(4, 6))
    assert_same(whole[4:], resumed)
    assert_same(whole[2:3], [Stream(recipe, ALL_INPUTS, base=HERE).batch_at(2)])
    other = Stream(digits(96, seed=1), ALL_INPUTS, base=HERE).batch_at(2)
    assert other.samples.tolist() != whole[2].samples.tolist()


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].tolist()
    for workers in (0, 1):
        list(Stream(digits(32), ALL_INPUTS, base=HERE, workers=workers).batches(0, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == before_numpy


def test_small_data_is_decoded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 12, "b": 12})
    recipe = program({"images": Folder("train")}, 8)
    stream = Stream(recipe, PLAIN_INPUTS, base=tmp_path)
    read: list[int] = []
    original = type(stream.sources["images"]).read

    def counted(self: Dataset, index: int, fields: frozenset[str]) -> Sample:
        read.append(index)
        return original(self, index, fields)

    monkeypatch.setattr(type(stream.sources["images"]), "read", counted)
    list(stream.batches(0, 9))
    assert sorted(read) == list(range(24))


def test_only_the_sources_and_fields_in_use_are_opened(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 8})
    sources = {"images": Folder("train"), "unused": Folder("nowhere")}
    recipe = program(sources, 4)
    assert fields_needed(recipe, (ViewInput("x", "view1"), GeometryInput("t", "view1"))) == {"images": {"image"}}
    stream = Stream(recipe, (ViewInput("x", "view1"),), base=tmp_path)
    assert list(stream.sources) == ["images"]
    for name in (tmp_path / "train" / "a").glob("*.png"):
        name.write_text("not an image any more")
    labels = Stream(recipe, (FieldInput("c", "images", "category", Category()),), base=_relabelled(tmp_path))
    assert labels.batch_at(0)["c"].tolist() == [0] * 4


def _relabelled(root: Path) -> Path:
    """One readable image, so that the folder opens; a category needs none of the others."""
    (root / "train" / "a" / "00.png").write_bytes(encoded(picture(0), "PNG"))
    return root


# --- broken samples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_skipped_counted_and_named(tmp_path: Path, workers: int) -> None:
    root = image_folder(tmp_path / "train", {"a": 20, "b": 20})
    damaged = root / "b" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:100])
    recipe = program({"images": Folder("train")}, 8)
    stream = Stream(recipe, PLAIN_INPUTS, base=tmp_path, workers=workers)
    batches = list(stream.batches(0, 10))  # two epochs
    assert all(batch["x1"].shape[0] == 8 for batch in batches)
    for epoch in (batches[:5], batches[5:]):
        shown = np.concatenate([batch.samples for batch in epoch]).tolist()
        assert 27 not in shown, "the damaged sample"
        assert set(shown) == set(range(40)) - {27}
        assert len(shown) == 40, "one sample is shown twice instead"
    for batch in batches:
        assert len(set(batch.samples.tolist())) == 8, "not in the batch that it is already in"
        labels = [int(sample >= 20) for sample in batch.samples]
        assert batch["category"].tolist() == labels
    assert stream.broken.count == 1
    assert [str(broken).split(":")[0] for broken in stream.broken.first] == ["b/07.png"]
    named = [broken for batch in batches for broken in batch.broken]
    assert [(broken.data, broken.name) for broken in named] == [("images", "b/07.png")]
    assert "truncated" in named[0].reason.lower() or "broken" in named[0].reason.lower()


def test_many_broken_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "train", {"a": 60})
    for number in range(1, 60, 2):
        (root / "a" / f"{number:02}.png").write_text("gone")
    stream = Stream(program({"images": Folder("train")}, 10), PLAIN_INPUTS, base=tmp_path)
    batches = list(stream.batches(0, 6))
    assert all(sample % 2 == 0 for batch in batches for sample in batch.samples.tolist())
    assert stream.broken.count == 30
    assert len(stream.broken.first) == 20


@pytest.mark.parametrize("workers", [0, 1])
def test_a_source_without_any_readable_image_ends_training_with_its_name(tmp_path: Path, workers: int) -> None:
    root = image_folder(tmp_path / "train", {"a": 9})
    stream = Stream(program({"images": Folder("train")}, 4), PLAIN_INPUTS, base=tmp_path, workers=workers)
    for path in root.rglob("*.png"):
        path.write_text("gone")
    with pytest.raises(RecipeError, match="M3I0521: no sample of data `images` can be read"):
        list(stream.batches(0, 1))


def test_a_source_smaller_than_a_batch_is_an_error() -> None:
    with pytest.raises(SourceFault, match="1438 samples, fewer than a batch of 2000") as caught:
        Stream(digits(2000), ALL_INPUTS, base=HERE)
    assert (caught.value.data, caught.value.help) == ("digits", "write `batch 1438` or less")


# --- several sources, several sizes -----------------------------------------------------------------------------------


def test_sources_of_different_sizes_run_through_epochs_of_their_own(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 6, "b": 6})
    recipe = program({"images": Folder("train"), "digits": Embedded("digits")}, 4)
    inputs = (
        FieldInput("small", "images", "category", Category()),
        FieldInput("large", "digits", "category", Category()),
        FieldInput("text", "digits", "text", Text(), "words"),
    )
    stream = Stream(recipe, inputs, base=tmp_path)
    assert stream.steps_per_epoch == 1438 // 4
    batches = list(stream.batches(0, 6))
    assert [batch.epoch for batch in batches] == [0] * 6
    small = torch.cat([batch["small"] for batch in batches]).tolist()
    assert small[:12].count(0) == small[12:].count(0) == 6


def test_images_of_different_sizes_on_a_canvas(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "train", {"a": 8}, size=(30, 40))
    for number in range(0, 8, 2):
        (root / "a" / f"{number:02}.png").write_bytes(encoded(picture(number, (50, 20)), "PNG"))
    recipe = program({"images": Folder("train", canvas=32)}, 8, views={"view1": (Crop(size=8),)})
    batch = Stream(recipe, (ViewInput("x1", "view1"), GeometryInput("t1", "view1")), base=tmp_path).batch_at(0)
    for sample, (top, left, height, width, _, image_width) in zip(batch.samples, batch["t1"].tolist(), strict=True):
        limits = (50, 20) if sample % 2 == 0 else (30, 40)
        assert top + height <= limits[0]
        assert left + width <= limits[1] == image_width


# --- life of the workers ----------------------------------------------------------------------------------------------


class Signals(Dataset):
    """Reads what a signal handler of its process is."""

    def __len__(self) -> int:
        return 8

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        ignored = [signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGTERM, signal.SIGINT)]
        return {"category": int(all(ignored))}


def test_workers_ignore_the_signals_that_stop_training() -> None:
    inputs = (FieldInput("category", "digits", "category", Category()),)
    stream = Stream(digits(4), inputs, base=HERE, workers=1)
    feed = stream._decoder.feeds[0]
    object.__setattr__(feed, "source", Signals())
    object.__setattr__(feed.order, "samples", 8)
    assert next(iter(stream.batches(0, 1)))["category"].tolist() == [1] * 4


def test_leaving_early_ends_the_workers() -> None:
    import multiprocessing

    others = set(multiprocessing.active_children())  # of other tests
    stream = Stream(digits(32), ALL_INPUTS, base=HERE, workers=2)
    with closing(stream.batches(0, 1000)) as batches:
        next(batches)
        assert len(set(multiprocessing.active_children()) - others) == 2
    assert set(multiprocessing.active_children()) <= others


def test_waiting_is_measured() -> None:
    import time

    stream = Stream(digits(32), ALL_INPUTS, base=HERE)
    original = stream._decoder.feeds[0].source.read

    def slow(index: int, fields: frozenset[str]) -> Sample:
        time.sleep(0.002)
        return original(index, fields)

    object.__setattr__(stream._decoder.feeds[0].source, "read", slow)
    assert stream.batch_at(0).wait >= 0.05


def test_chunks_come_in_row_order() -> None:
    stream = Stream(digits(3 * CHUNK), ALL_INPUTS, base=HERE)
    for step, (part,) in enumerate(decoded(stream._decoder, 0, 2, workers=2)):
        assert part.samples.tolist() == stream.batch_at(step).samples.tolist()


def test_real_cifar10_with_workers() -> None:
    root = shared_data("cifar10")
    source = Parquet("train.parquet", category="label")
    recipe = program({"images": source}, 128)
    alone = list(Stream(recipe, PLAIN_INPUTS, base=root).batches(390, 392))
    spread = list(Stream(recipe, PLAIN_INPUTS, base=root, workers=2).batches(390, 392))
    assert [batch.epoch for batch in alone] == [1, 1]
    assert_same(alone, spread)
