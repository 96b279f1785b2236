"""Views that are cut from single pictures: the boxes, the pixels and the samples are those that they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from m3i_dsl.data.readers.digits import Digits
from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import GeometryInput, ViewInput
from m3i_dsl.vocabulary.kinds import Transform
from m3i_dsl.vocabulary.sources import Embedded, Folder
from m3i_dsl.vocabulary.transforms import CenterCrop, Crop, Flip, Normalize, Resize, Solarize
from tests.data.programs import encoded, image_folder, picture, program
from tests.data.test_stream import assert_same

SIZES = ((90, 60), (40, 200), (37, 41), (300, 210))
PLAIN = Normalize(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
FIRST = (ViewInput("x1", "view1"), GeometryInput("t1", "view1"))
INPUTS = (*FIRST, ViewInput("x2", "view2"), GeometryInput("t2", "view2"))
VIEWS: Mapping[str, tuple[Transform, ...]] = {
    "view1": (Crop(size=32), Flip(), Solarize(), PLAIN),
    "view2": (Crop(size=24, interpolation="bilinear", scale=(0.05, 0.3)), PLAIN),
}
ROUNDED = 1 / 255 + 1e-6
TWICE_ROUNDED = 1.5 / 255
"""8 bits after each dimension, beside values that are not rounded at all."""


def size_of(number: int) -> tuple[int, int]:
    return SIZES[number % len(SIZES)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 pictures of four sizes, as PNG: their pixels are known."""
    folder = tmp_path_factory.mktemp("pictures")
    image_folder(folder / "train", {"a": 90})
    for number in range(90):
        (folder / "train" / "a" / f"{number:02}.png").write_bytes(encoded(picture(number, size_of(number)), "PNG"))
    return folder


def stored(number: int) -> Tensor:
    return torch.from_numpy(picture(number, size_of(number)).copy()).permute(2, 0, 1)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_batch_is_what_torchvision_cuts_from_the_stored_pictures(
    root: Path, interpolation: Literal["bicubic", "bilinear"]
) -> None:
    views = {"view1": (Flip(), Crop(size=32, interpolation=interpolation), PLAIN)}
    stream = Stream(program({"images": Folder("train")}, 80, views=views), FIRST, base=root)
    batch = stream.batch_at(0)
    flips = 0
    for sample, shown, geometry in zip(batch.samples.tolist(), batch["x1"], batch["t1"].int().tolist(), strict=True):
        top, left, height, width, flipped, image_width = geometry
        image = F.horizontal_flip(stored(sample)) if flipped else stored(sample)
        assert image_width == image.shape[2]
        mode = InterpolationMode(interpolation)
        expected = F.resized_crop(image, top, left, height, width, [32, 32], mode, antialias=True)
        torch.testing.assert_close(shown, expected / 255, atol=ROUNDED, rtol=0)
        flips += flipped
    assert 20 < flips < 60


@pytest.mark.parametrize("step", [Resize(size=20), CenterCrop(size=20, share=0.8)])
def test_steps_without_randomness_are_cut_too(root: Path, step: Transform) -> None:
    stream = Stream(program({"images": Folder("train")}, 16, views={"view1": (step, PLAIN)}), FIRST, base=root)
    batch = stream.batch_at(0)
    for sample, shown, (top, left, height, width, *_) in zip(
        batch.samples.tolist(), batch["x1"], batch["t1"].int().tolist(), strict=True
    ):
        expected = F.resized_crop(
            stored(sample), top, left, height, width, [20, 20], InterpolationMode.BICUBIC, antialias=True
        )
        torch.testing.assert_close(shown, expected / 255, atol=ROUNDED, rtol=0)


def test_whole_batches_and_single_pictures_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = program({"digits": Embedded("digits")}, 64, views=VIEWS)
    whole = Stream(recipe, INPUTS, base=Path()).batch_at(3)
    monkeypatch.setattr(Digits, "image_size", lambda self: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    cut = Stream(recipe, INPUTS, base=Path()).batch_at(3)
    for name in ("t1", "t2"):
        assert torch.equal(whole[name], cut[name])
    torch.testing.assert_close(cut["x2"], whole["x2"], atol=TWICE_ROUNDED, rtol=0)
    # Solarize inverts from one half on: rounding may take a value across.
    across = (whole["x1"] - 0.5).abs() < TWICE_ROUNDED
    torch.testing.assert_close(cut["x1"][~across], whole["x1"][~across], atol=TWICE_ROUNDED, rtol=0)


def test_a_step_before_the_crop_is_done_to_the_whole_picture(root: Path) -> None:
    plain = {"view1": (Crop(size=16), Flip(), PLAIN)}
    first = {"view1": (Solarize(threshold=0.3, p=1.0), *plain["view1"])}
    usual, solarized = (
        Stream(program({"images": Folder("train")}, 8, views=views), FIRST, base=root).batch_at(0)
        for views in (plain, first)
    )
    assert torch.equal(usual["t1"], solarized["t1"])
    for sample, shown, geometry in zip(
        solarized.samples.tolist(), solarized["x1"], solarized["t1"].int().tolist(), strict=True
    ):
        top, left, height, width, flipped, _ = geometry
        image = F.solarize(F.horizontal_flip(stored(sample)) if flipped else stored(sample), 0.3 * 255)
        expected = F.resized_crop(image, top, left, height, width, [16, 16], InterpolationMode.BICUBIC, antialias=True)
        torch.testing.assert_close(shown, expected / 255, atol=TWICE_ROUNDED, rtol=0)


def test_a_batch_has_the_same_bits_with_workers_resumed_and_shared(root: Path) -> None:
    recipe = program({"images": Folder("train")}, 80, views=VIEWS)
    alone = list(Stream(recipe, INPUTS, base=root).batches(0, 4))
    assert_same(alone, list(Stream(recipe, INPUTS, base=root, workers=2).batches(0, 4)))
    assert_same(alone[2:], list(Stream(recipe, INPUTS, base=root, workers=1).batches(2, 4)))
    shares = [Stream(recipe, INPUTS, base=root, rank=rank, world=2).batch_at(3) for rank in range(2)]
    for name in alone[3]:
        assert torch.equal(alone[3][name], torch.cat([share[name] for share in shares])), name


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_that_only_decoding_finds_gives_the_row_to_another_sample(
    root: Path, tmp_path: Path, workers: int
) -> None:
    """The header of a cut-off file says where its boxes lie; those of its substitute are by its own size and draws."""
    folder = image_folder(tmp_path / "train", {"a": 90})
    for number in range(90):
        file = folder / "a" / f"{number:02}.png"
        file.write_bytes((root / "train" / "a" / file.name).read_bytes()[: 200 if number % 7 == 0 else None])
    recipe = program({"images": Folder("train")}, 40, views={"view1": (Flip(), Crop(size=16), PLAIN)})
    batch = next(iter(Stream(recipe, FIRST, base=tmp_path, workers=workers).batches(0, 1)))
    assert batch.broken
    assert all(int(broken.name[2:4]) % 7 == 0 for broken in batch.broken)
    assert not (batch.samples % 7 == 0).any()
    for sample, shown, geometry in zip(batch.samples.tolist(), batch["x1"], batch["t1"].int().tolist(), strict=True):
        top, left, height, width, flipped, image_width = geometry
        assert image_width == size_of(sample)[1]
        image = F.horizontal_flip(stored(sample)) if flipped else stored(sample)
        expected = F.resized_crop(image, top, left, height, width, [16, 16], InterpolationMode.BICUBIC, antialias=True)
        torch.testing.assert_close(shown, expected / 255, atol=ROUNDED, rtol=0)


def test_pictures_are_decoded_once_for_all_views(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from m3i_dsl.data.readers import images

    decoded: list[int | None] = []
    original = images.pixels_of

    def counted(image: Image.Image, canvas: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        decoded.append(canvas)
        return original(image, canvas)

    monkeypatch.setattr("m3i_dsl.data.stream.MEMORY", 0)
    monkeypatch.setattr(images, "pixels_of", counted)
    Stream(program({"images": Folder("train")}, 40, views=VIEWS), INPUTS, base=root).batch_at(0)
    assert len(decoded) == 40


def test_a_picture_of_one_pixel_is_a_view(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "train", {"a": 4}, size=(40, 40))
    (root / "a" / "00.png").write_bytes(encoded(np.full((1, 1, 3), 77, np.uint8), "PNG"))
    recipe = program({"images": Folder("train")}, 4, views={"view1": (Crop(size=16), Flip(), PLAIN)})
    batch = Stream(recipe, FIRST, base=tmp_path).batch_at(0)
    row = batch.samples.tolist().index(0)
    assert batch["t1"][row, :4].tolist() == [0, 0, 1, 1]
    assert batch["x1"][row].unique().tolist() == pytest.approx([77 / 255])
