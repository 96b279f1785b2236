"""Slots: batches of images in memory that is shared with the workers, allocated once."""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from m3i_dsl.data.loader import CHUNK
from m3i_dsl.data.readers.digits import Digits
from m3i_dsl.data.slots import Slots, Tasks
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from tests.data.programs import ALL_INPUTS, digits

HERE = Path()
BATCH = CHUNK + 30


def test_images_lie_in_a_few_slots_used_over_and_over() -> None:
    stream = Stream(digits(BATCH), ALL_INPUTS, base=HERE, workers=2)
    places: list[int] = []
    with closing(stream.decoded(0, 12)) as batches:
        for step, (part,) in enumerate(batches):
            places.append(part.images["image"].data_ptr())
            (here,) = next(iter(Stream(digits(BATCH), ALL_INPUTS, base=HERE).decoded(step, step + 1)))
            assert torch.equal(part.images["image"], here.images["image"])
    period = len(set(places))
    assert period == 3, "one in use, two ahead"
    assert places == [places[step % period] for step in range(12)]
    assert np.ptp(places) == 2 * BATCH * 8 * 8 * 3, "side by side"


def test_a_slot_in_use_is_never_given_away() -> None:
    tasks = Tasks(5, 100, range(32, 48), 10, slots=3)
    given = iter(tasks)
    for step in (5, 6, 7):
        assert (next(given), next(given)) == ((step, 32, 42), (step, 42, 48))
    with pytest.raises(RuntimeError, match="step 8 would overwrite the images of step 5"):
        next(given)
    tasks.wanted = 6
    given = iter(tasks)
    assert [next(given)[0] for _ in range(8)] == [5, 5, 6, 6, 7, 7, 8, 8]


def test_a_source_that_is_wrong_about_its_size_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digits, "image_size", lambda self: (16, 8))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(ValueError, match=r"an image of shape \(8, 8, 3\) where the source said \(16, 8, 3\)"):
        decoder = Stream(digits(BATCH), ALL_INPUTS, base=HERE)._decoder  # pyright: ignore[reportPrivateUsage]
        Slots(decoder, 1, shared=True)[0, 0, CHUNK]


def test_too_little_shared_memory_is_a_fault_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(RecipeError, match=r"M3I0501: no 0\.55 MiB of shared memory for 3 batches"):
        next(Stream(digits(1000), ALL_INPUTS, base=HERE, workers=1).batches(0, 20))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"ro", r"M3I0501: no 0\.05 MiB of shared memory for 3 batches"),
        (b"size=32k", r"M3I0501: no 0\.05 MiB of shared memory for 3 batches"),
        (b"size=56k", r"M3I0522.*could not be started: No space left on device"),
    ],
    ids=["read-only", "full", "full but for the images"],
)
def test_a_dev_shm_that_gives_nothing_is_a_fault_with_a_code(options: bytes, expected: str) -> None:
    """In a child that has a /dev/shm of its own, where the system allows that."""
    next(Stream(digits(BATCH), ALL_INPUTS, base=HERE).batches(0, 1))  # libraries that look for /dev/shm are imported
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = _read_with_a_dev_shm_of(options)
        except BaseException as problem:
            told = repr(problem)
        os.write(theirs, told.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    if told == NOT_ALLOWED:
        pytest.skip("a file system cannot be mounted here")
    assert re.search(expected, told), told


NOT_ALLOWED = "not allowed"


def _read_with_a_dev_shm_of(options: bytes) -> str:
    """What is said when a batch is read in this process, which keeps the /dev/shm."""
    system = ctypes.CDLL(None)
    new_mounts, private, recursive = 0x20000, 1 << 18, 1 << 14
    if system.unshare(new_mounts) or system.mount(b"none", b"/", None, private | recursive, None):
        return NOT_ALLOWED
    read_only = options == b"ro"
    if system.mount(b"tmpfs", b"/dev/shm", b"tmpfs", int(read_only), None if read_only else options):
        return NOT_ALLOWED
    stream = Stream(digits(BATCH), ALL_INPUTS, base=HERE, workers=2)
    try:
        next(stream.batches(0, 20))
    except RecipeError as fault:
        (found,) = fault.diagnostics
        return f"{found.code}: {found.message} {found.notes}"
    return "read"
