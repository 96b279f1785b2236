"""The rows of one process among several: together they are the batch of one, bit by bit, and their log is its log."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m3i_dsl.data import loader
from m3i_dsl.data.sample_log import SampleLog, logged
from m3i_dsl.data.share import check_share
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.inputs import FieldInput, GeometryInput, ViewInput
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources import Folder
from m3i_dsl.vocabulary.sources.tar import Tar
from m3i_dsl.vocabulary.transforms import Crop
from tests.data.programs import digits, image_folder, program
from tests.data.shards import shards

INPUTS = (
    ViewInput("x1", "view1"),
    GeometryInput("t1", "view1"),
    FieldInput("c", "images", "category", Category()),
    FieldInput("t", "images", "text", Text(), "words"),
)
BATCH = 32
STEPS = 4


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shards(tmp_path_factory.mktemp("data") / "train", [3, 11, 1, 9, 7, 12, 2, 5, 8, 10, 4, 6]).parent


@pytest.fixture(autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks in the rows of each process, several windows in a lane."""
    monkeypatch.setattr(loader, "CHUNK", 6)
    monkeypatch.setattr("m3i_dsl.data.sharded_order.WINDOW_SAMPLES", 8)
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def recipe() -> Program:
    return program({"images": Tar("train", caption="txt", category="cls")}, BATCH)


@pytest.mark.parametrize(("world", "workers"), [(2, 0), (4, 1), (2, 3)])
def test_processes_together_make_the_batch_of_one(sharded: Path, world: int, workers: int) -> None:
    """Also with more processes times workers than shards, and with shards of one sample."""
    whole = list(Stream(recipe(), INPUTS, base=sharded).batches(0, STEPS))
    assert {batch.epoch for batch in whole} == {0, 1}
    parts = [
        list(Stream(recipe(), INPUTS, base=sharded, workers=workers, rank=rank, world=world).batches(0, STEPS))
        for rank in range(world)
    ]
    for step, batch in enumerate(whole):
        mine = [part[step] for part in parts]
        assert all(len(own.samples) == BATCH // world for own in mine)
        assert np.concatenate([own.samples for own in mine]).tolist() == batch.samples.tolist()
        for name in batch:
            assert torch.equal(torch.cat([own[name] for own in mine]), batch[name]), name


def test_a_process_reads_only_its_own_rows(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 16})
    stream = Stream(program({"images": Folder("train")}, 8), INPUTS[:1], base=tmp_path, workers=0, rank=1, world=4)
    read: list[int] = []
    original = stream.sources["images"].read

    def counted(index: int, fields: frozenset[str]) -> Any:
        read.append(index)
        return original(index, fields)

    stream.sources["images"].read = counted  # type: ignore[method-assign]
    batch = stream.batch_at(0)
    assert read == batch.samples.tolist()
    assert len(read) == 2


def test_a_batch_that_cannot_be_shared_names_the_worlds_that_can() -> None:
    with pytest.raises(RecipeError) as caught:
        check_share(digits(96), 5)
    found = caught.value.diagnostics[0]
    assert found.code == "M3I0520"
    assert "a batch of 96 cannot be shared equally among 5 processes" in found.message
    assert "it can be among 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96" in found.helps[0]
    assert "a batch of 95 " in found.helps[1]


def test_both_images_of_a_mix_stay_with_one_process() -> None:
    class Mixing:
        pairs_images = object()
        inputs = ()

    mixing = dataclasses.replace(digits(24), objectives=(Mixing(),))  # type: ignore[arg-type]
    check_share(mixing, 6)
    with pytest.raises(RecipeError, match="pairs of samples that are mixed") as caught:
        check_share(mixing, 8)
    assert "1, 2, 3, 4, 6, 12" in caught.value.diagnostics[0].helps[0]


# --- the log of samples -----------------------------------------------------------------------------------------------


def test_logs_of_processes_that_were_killed_join_to_the_log_of_one_that_was_not(sharded: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    list(Stream(recipe(), INPUTS[2:3], base=sharded, sample_log=whole).batches(0, STEPS))
    first = tmp_path / "first.jsonl"
    list(Stream(recipe(), INPUTS[2:3], base=sharded, sample_log=first, workers=1).batches(0, 3))
    with first.open("a") as file:
        file.write('{"step": 3, "epoch": 1, "row": 0, "samp')  # killed while writing
    second = tmp_path / "second.jsonl"
    for rank in range(2):
        stream = Stream(recipe(), INPUTS[2:3], base=sharded, sample_log=second, rank=rank, world=2)
        list(stream.batches(2, STEPS))
    joined = logged([first, tmp_path / "second.jsonl.0", tmp_path / "second.jsonl.1"])
    assert joined == logged([whole])
    assert list(joined) == list(range(STEPS))
    assert all(len(samples) == BATCH for samples in joined.values())
    SampleLog(first)
    assert json.loads(first.read_text().splitlines()[0])["epoch"] == 0


# --- what ends a stream -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_broken_samples_end_the_stream_with_the_first_ones_named(tmp_path: Path, workers: int) -> None:
    root = image_folder(tmp_path / "train", {"a": 80})
    for number in range(0, 80, 2):
        (root / "a" / f"{number:02}.png").write_text("gone")
    data = program({"images": Folder("train")}, 8)
    stream = Stream(data, INPUTS[:1], base=tmp_path, workers=workers, max_broken=0.4)
    with pytest.raises(RecipeError) as caught, closing(stream.batches(0, 10)) as batches:
        list(batches)
    found = caught.value.diagnostics[0]
    assert found.code == "M3I0521"
    assert "samples of" in found.message
    assert "more than 40%" in found.message
    assert found.notes[0].startswith("broken: a/")
    assert stream.broken.count > 20, "a few are always allowed"
    tolerant = Stream(data, INPUTS[:1], base=tmp_path, max_broken=0.6)
    assert len(list(tolerant.batches(0, 10))) == 10


@pytest.mark.parametrize("workers", [0, 2])
def test_data_that_is_deleted_in_the_middle_ends_training_with_its_code(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of it is left out and named, all of it is the end; no sample comes twice in a batch in its place."""
    monkeypatch.setattr("m3i_dsl.data.stream.MEMORY", 0)
    root = image_folder(tmp_path / "a", {"cat": 120, "dog": 120})
    inputs = (ViewInput("x", "view1"), FieldInput("c", "images", "category", Category()))
    stream = Stream(program({"images": Folder("a")}, 8), inputs, base=tmp_path, workers=workers)
    with closing(stream.batches(0, 1000)) as batches:
        next(batches)
        shutil.rmtree(root / "cat")
        for step in range(1, 60):
            batch = next(batches)
            assert len(set(batch.samples.tolist())) == 8, step
        assert set(batch["c"].tolist()) == {1} and stream.broken.count > 0
        assert all(broken.name.startswith("cat/") for broken in stream.broken.first)
        shutil.rmtree(root)
        with pytest.raises(RecipeError) as caught:
            list(batches)
    assert [found.code for found in caught.value.diagnostics] == ["M3I0521"]
    assert "no sample of data `images` can be read" in caught.value.diagnostics[0].message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_a_fault_that_says_how(number: signal.Signals) -> None:
    import multiprocessing

    stream = Stream(digits(32), (ViewInput("x1", "view1"),), base=Path(), workers=2)
    others = multiprocessing.active_children()  # of other tests
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(RecipeError) as caught, closing(stream.batches(0, 10_000)) as batches:
        next(batches)
        assert signal.getsignal(signal.SIGCHLD) == before, "nothing is raised where training happens to be"
        victim = next(child for child in multiprocessing.active_children() if child not in others)
        assert victim.pid is not None
        os.kill(victim.pid, number)
        victim.join(5)
        list(batches)
    found = caught.value.diagnostics[0]
    assert found.code == "M3I0522"
    assert f"process {victim.pid}: killed by {number.name}" in found.notes[0]
    assert set(multiprocessing.active_children()) <= set(others)


def test_workers_that_cannot_be_started_are_a_fault_and_none_is_left() -> None:
    import multiprocessing

    stream = Stream(digits(32), (ViewInput("x1", "view1"),), base=Path(), workers=4)
    others = multiprocessing.active_children()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    first_free = os.open(os.devnull, os.O_RDONLY)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + 12, limits[1]))
    try:
        with pytest.raises(RecipeError) as caught:
            next(stream.batches(0, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    found = caught.value.diagnostics[0]
    assert (found.code, found.notes) == ("M3I0522", ("it could not be started: Too many open files",))
    assert set(multiprocessing.active_children()) <= set(others)
    assert len(list(stream.batches(0, 2))) == 2


def test_workers_compute_with_one_thread() -> None:
    """N of them with as many threads as there are cores would slow each other down."""
    stream = Stream(digits(32), (FieldInput("c", "digits", "category", Category()),), base=Path(), workers=1)
    source = stream._decoder.feeds[0].source
    original = source.read

    def threads(index: int, fields: frozenset[str]) -> Any:
        return {**original(index, fields), "category": torch.get_num_threads()}

    source.read = threads  # type: ignore[method-assign]
    assert set(next(iter(stream.batches(0, 1)))["c"].tolist()) == {1}


def test_memory_does_not_grow_with_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 batches of data that would not fit what is kept decoded; a thirtieth of it would be seen."""
    import resource

    monkeypatch.setattr("m3i_dsl.data.stream.MEMORY", 2**20)
    shards(tmp_path / "train", [40] * 4)
    data = program({"images": Tar("train", category="cls", canvas=96)}, 16, views={"view1": (Crop(size=8),)})
    stream = Stream(data, (ViewInput("x1", "view1"), FieldInput("c", "images", "category", Category())), base=tmp_path)
    batches = stream.decoded(0, 220)
    for _ in range(20):
        next(batches)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    passed = sum(len(part.samples) for (part,) in batches)
    assert passed == 3200
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < passed * 96 * 96 * 3 / 30
