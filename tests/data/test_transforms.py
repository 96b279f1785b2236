"""Each transform on a batch equals torchvision on each image alone, with the same parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from m3i_dsl.data.augment import boxes, colour, separable
from m3i_dsl.data.views import render, steps_of
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Transform, ViewState, WordError
from m3i_dsl.vocabulary.transforms import (
    Blur,
    CenterCrop,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Normalize,
    Resize,
    Solarize,
    ThreeAugment,
)
from m3i_dsl.vocabulary.transforms.pipeline import completed, execution_order

BATCH = 24
PLAIN = Normalize(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Leaves the values as they are, so that results stay in [0, 1]."""


def _images(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (BATCH, 3, height, width), generator=torch.Generator().manual_seed(seed)).byte()


def _sizes(height: int, width: int) -> np.ndarray:
    return np.tile(np.array([[height, width]]), (BATCH, 1))


def _draws(slot: str = "view", epoch: int = 0) -> Draws:
    return Draws(5, epoch, np.arange(100, 100 + BATCH), slot)


def _view(
    transforms: Sequence[Transform], images: torch.Tensor, sizes: NDArray[np.int64], draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    return render(steps_of(transforms), images, ViewState.whole(sizes), draws)


def _rendered(images: torch.Tensor, *transforms: Transform) -> tuple[torch.Tensor, torch.Tensor]:
    return _view([*transforms, PLAIN], images, _sizes(*images.shape[2:]), _draws())


def _resized(image: torch.Tensor, size: int, mode: InterpolationMode = InterpolationMode.BICUBIC) -> torch.Tensor:
    """Torchvision's, one dimension after the other: what overshoots is cut off in between, as with 8 bits."""
    narrowed = F.resize(image, [image.shape[1], size], mode, antialias=True).clamp(0, 1)
    return F.resize(narrowed, [size, size], mode, antialias=True).clamp(0, 1)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 32), (40, 64, 16), (8, 8, 32), (90, 60, 24)])
def test_crop_equals_cropping_and_resizing_each_image(height: int, width: int, size: int, interpolation: str) -> None:
    images = _images(height, width)
    result, geometry = _rendered(images, Crop(size=size, interpolation=interpolation))  # type: ignore[arg-type]
    for image, mine, (top, left, h, w, flip, image_width) in zip(images, result, geometry.int().tolist(), strict=True):
        box = F.crop(image.float() / 255, top, left, h, w)
        torch.testing.assert_close(mine, _resized(box, size, InterpolationMode(interpolation)), atol=2e-5, rtol=0)
        assert (flip, image_width) == (0, width)


def test_crop_boxes_have_the_shares_and_aspects_asked_for() -> None:
    sizes = np.tile(np.array([[300, 400]]), (4000, 1))
    found = boxes.random_boxes(sizes, (0.2, 0.6), (0.75, 1.3333), Draws(0, 0, np.arange(4000), "crop"))
    top, left, height, width = found.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    share, aspect = height * width / (300 * 400), width / height
    assert share.min() > 0.19
    assert share.max() < 0.61
    assert share.mean() == pytest.approx(0.4, abs=0.01)
    assert aspect.min() > 0.74
    assert aspect.max() < 1.35
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.01)
    assert (left / (400 - width)).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("size", "expected"), [((10, 800), (10, 13)), ((800, 10), (13, 10))])
def test_a_crop_that_no_attempt_fits_is_the_largest_centred_box(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    found = boxes.random_boxes(_sizes(*size), (0.9, 1.0), (0.75, 1.3333), _draws())
    assert set(map(tuple, found[:, 2:].tolist())) == {expected}
    assert found[0, :2].tolist() == [(size[0] - expected[0]) // 2, (size[1] - expected[1]) // 2]


def test_flip_comes_before_crop_wherever_it_stands() -> None:
    images = _images(40, 64)
    result, geometry = _rendered(images, Crop(size=16), Flip())
    other, same_geometry = _rendered(images, Flip(), Crop(size=16))
    assert torch.equal(result, other)
    assert torch.equal(geometry, same_geometry)
    flips = geometry[:, 4].bool().tolist()
    assert any(flips)
    assert not all(flips)
    for image, mine, flip, (top, left, h, w) in zip(images, result, flips, geometry[:, :4].int().tolist(), strict=True):
        first = F.horizontal_flip(image) if flip else image
        crop = _resized(F.crop(first.float() / 255, top, left, h, w), 16)
        torch.testing.assert_close(mine, crop, atol=2e-5, rtol=0)


def test_resize_and_center_crop_equal_torchvision() -> None:
    images = _images(40, 64)
    resized, geometry = _rendered(images, Resize(size=20))
    reference = torch.stack([_resized(image.float() / 255, 20) for image in images])
    torch.testing.assert_close(resized, reference, atol=2e-5, rtol=0)
    assert geometry[0].tolist() == [0, 0, 40, 64, 0, 64]
    centred, geometry = _rendered(images, CenterCrop(size=20, share=0.8))
    middle = F.center_crop(images, [32, 32]).float() / 255
    reference = torch.stack([_resized(image, 20) for image in middle])
    torch.testing.assert_close(centred, reference, atol=2e-5, rtol=0)
    assert geometry[0].tolist() == [4, 16, 32, 32, 0, 64]


def test_a_crop_of_a_crop_keeps_the_geometry_of_the_source() -> None:
    images = _images(40, 64)
    state = ViewState.whole(_sizes(40, 64))
    first = CenterCrop(size=32, share=0.8).apply(images.float() / 255, state, _draws())  # 32x32 at (4, 16)
    Crop(size=16).apply(first, state, _draws("inner"))
    top, left, height, width = state.boxes.T
    assert (top >= 4).all()
    assert (left >= 16).all()
    assert (top + height <= 36).all()
    assert (left + width <= 48).all()


def test_a_canvas_keeps_the_true_aspect() -> None:
    """An image with a gradient of its own coordinates: after a crop through the canvas, its values are the box's."""
    height, width, canvas, size = 120, 200, 96, 16
    rows, columns = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    source = torch.from_numpy(np.stack([rows, columns, columns]) * 255).round().byte()
    stretched = F.resize(source, [canvas, canvas], InterpolationMode.BICUBIC, antialias=True)
    images = stretched.expand(BATCH, 3, canvas, canvas).contiguous()
    pixels, geometry = _view([Crop(size=size, scale=(0.3, 0.9)), PLAIN], images, _sizes(height, width), _draws())
    top, left, h, w = geometry[:, :4].T
    places = (torch.arange(size) + 0.5) / size
    expected_rows = (top[:, None] + places * h[:, None]) / height
    expected_columns = (left[:, None] + places * w[:, None]) / width
    inner = slice(1, -1)  # the border of a crop leans inwards by half a pixel of the canvas
    torch.testing.assert_close(pixels[:, 0].mean(dim=2)[:, inner], expected_rows[:, inner], atol=0.006, rtol=0)
    torch.testing.assert_close(pixels[:, 1].mean(dim=1)[:, inner], expected_columns[:, inner], atol=0.006, rtol=0)
    aspects = (w / h).log()
    assert aspects.min() > math.log(0.74)
    assert aspects.max() < math.log(1.35)


def test_a_box_smaller_than_a_canvas_pixel_still_gives_its_colour() -> None:
    images = torch.zeros(1, 3, 4, 4)
    images[:, :, 2, 1] = 1
    start, length = torch.tensor([2.3]), torch.tensor([0.2])
    rows = separable.resampling(start, length, 4, 3, "bicubic")
    columns = separable.resampling(start - 1, length, 4, 3, "bicubic")
    assert separable.separable(images, rows, columns).flatten().tolist() == [1.0] * 27


def test_jitter_equals_torchvision_in_each_images_own_order() -> None:
    images = _images(16, 16).float() / 255
    images[0] = 0.5  # no hue at all
    images[1, :, 0] = 0
    generator = torch.Generator().manual_seed(1)
    factors = torch.rand(BATCH, 4, generator=generator) + 0.5
    factors[:, colour.HUE] -= 1
    order = torch.stack([torch.randperm(4, generator=generator) for _ in range(BATCH)])
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    reference = images.clone()
    for row in range(BATCH):
        for operation in order[row].tolist():
            reference[row] = steps[operation](reference[row], float(factors[row, operation]))
    result = colour.jitter(images.clone(), factors.double().numpy(), order.numpy())
    torch.testing.assert_close(result, reference, atol=2e-5, rtol=0)


def test_jitter_draws_factors_in_range_and_every_order() -> None:
    """Read off images in which each operation can be told from the result."""
    images = torch.full((BATCH, 3, 2, 2), 0.4)
    changed = Jitter(brightness=0.5, contrast=0.0, saturation=0.0, hue=0.0, p=1.0).apply(
        images, ViewState.whole(_sizes(2, 2)), _draws()
    )
    factors = changed[:, 0, 0, 0] / 0.4
    assert factors.min() >= 0.5
    assert factors.max() <= 1.5
    assert len(set(factors.tolist())) == BATCH
    orders = {tuple(row) for row in Draws(0, 0, np.arange(2000), "order").uniform(4).argsort(axis=1).tolist()}
    assert len(orders) == 24


def test_blur_equals_torchvision() -> None:
    images = _images(40, 64).float() / 255
    sigmas = torch.linspace(0.1, 2.0, BATCH)
    result = separable.blur(images, sigmas)
    kernel = [separable.blur_size(64), separable.blur_size(40)]
    assert kernel == [7, 5]
    for image, mine, sigma in zip(images, result, sigmas.tolist(), strict=True):
        torch.testing.assert_close(mine, F.gaussian_blur(image, kernel, [sigma, sigma]), atol=2e-6, rtol=0)
    assert separable.blur_size(224) == 23  # SimCLR


@pytest.mark.parametrize(
    ("word", "reference"),
    [
        (Grayscale(p=1.0), lambda image: F.rgb_to_grayscale(image, 3)),
        (Solarize(p=1.0), lambda image: F.solarize(image, 0.5)),
        (Solarize(threshold=0.25, p=1.0), lambda image: F.solarize(image, 0.25)),
        (Normalize(), lambda image: F.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])),
    ],
)
def test_pointwise_steps_equal_torchvision(word: Transform, reference: object) -> None:
    images = _images(8, 8).float() / 255
    result = word.apply(images, ViewState.whole(_sizes(8, 8)), _draws())
    torch.testing.assert_close(result, torch.stack([reference(image) for image in images]), atol=1e-6, rtol=0)  # type: ignore[operator]


@pytest.mark.parametrize("word", [Jitter(p=0.5), Grayscale(p=0.5), Solarize(p=0.5), Blur(p=0.5)])
def test_p_is_how_often_and_other_rows_keep_their_bits(word: Transform) -> None:
    images = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    draws = Draws(0, 0, np.arange(400), "view")
    result = word.apply(images, ViewState.whole(np.full((400, 2), 8)), draws)
    assert torch.equal(images, before), "the input was written to"
    changed = (result != images).flatten(1).any(dim=1)
    assert 150 < int(changed.sum()) < 250
    none = word.__class__(p=0.0).apply(images, ViewState.whole(np.full((400, 2), 8)), draws)  # type: ignore[call-arg]
    assert torch.equal(none, images)


def test_three_augment_does_exactly_one_of_its_three() -> None:
    images = torch.rand(600, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    word = ThreeAugment(sigma=(0.5, 2.0))  # a blur of 0.1 pixels changes nothing
    result = word.apply(images, ViewState.whole(np.full((600, 2), 8)), Draws(0, 0, np.arange(600), "v"))
    gray = (result == colour.grayscale(images)).flatten(1).all(dim=1)
    solar = (result == colour.solarize(images, 0.5)).flatten(1).all(dim=1)
    blurred = ~gray & ~solar & (result != images).flatten(1).any(dim=1)
    assert [int(kind.sum()) for kind in (gray & solar, gray | solar | blurred)] == [0, 600]
    for kind in (gray, solar, blurred):
        assert 160 < int(kind.sum()) < 240


VIEW = (Flip(), Crop(size=16), Jitter(), Grayscale(), Blur(), Solarize())


def test_a_row_of_a_view_depends_on_its_own_sample_only() -> None:
    images = _images(24, 24)
    together, geometry = _view(VIEW, images, _sizes(24, 24), _draws())
    some = [7, 3, 20]
    alone, same = _view(VIEW, images[some], _sizes(24, 24)[some], Draws(5, 0, np.array(some) + 100, "view"))
    torch.testing.assert_close(alone, together[some], atol=1e-6, rtol=1e-6)
    assert torch.equal(same, geometry[some])
    again, _ = _view(VIEW, images, _sizes(24, 24), _draws())
    assert torch.equal(again, together)
    next_epoch, moved = _view(VIEW, images, _sizes(24, 24), _draws(epoch=1))
    assert not torch.equal(moved, geometry)
    assert not torch.equal(next_epoch, together)


def test_adding_a_step_leaves_the_draws_of_the_others_alone() -> None:
    images = _images(24, 24)
    _, geometry = _view([Crop(size=16)], images, _sizes(24, 24), _draws())
    _, with_more = _view([Jitter(), Crop(size=16), Solarize()], images, _sizes(24, 24), _draws())
    assert torch.equal(geometry, with_more)


def test_a_step_that_stands_twice_is_drawn_twice() -> None:
    images = _images(24, 24)
    once = Draws(5, 0, np.arange(100, 100 + BATCH), "view/solarize/p").uniform()
    twice = Draws(5, 0, np.arange(100, 100 + BATCH), "view/solarize 2/p").uniform()
    result, _ = _rendered(images, Solarize(p=0.5), Solarize(p=0.5))
    values = images.float() / 255
    for row in range(BATCH):
        expected = values[row]
        for drawn in (once, twice):
            expected = colour.solarize(expected, 0.5) if drawn[row] < 0.5 else expected
        torch.testing.assert_close(result[row], expected)


def test_a_view_ends_in_normalize() -> None:
    steps = (Crop(size=8), Flip())
    assert completed(steps) == (*steps, Normalize())
    assert completed((*steps, PLAIN)) == (*steps, PLAIN)
    assert execution_order(steps) == (Flip(), Crop(size=8))
    with pytest.raises(WordError, match="`flip` comes after `normalize`"):
        completed((PLAIN, Flip()))


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        (Normalize(mean=(0.5,)), "mean"),
        (Normalize(std=(0.5, 0.5)), "std"),
        (Normalize(std=(0.5, 0.5, 0.0)), "std"),
    ],
)
def test_arguments_that_do_not_fit_are_named(word: Transform, argument: str) -> None:
    with pytest.raises(WordError) as caught:
        word.output_size((8, 8))
    assert caught.value.argument == argument


def test_views_stay_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pixels, _ = _view(VIEW, _images(24, 24), _sizes(24, 24), _draws())
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels, _view(VIEW, _images(24, 24), _sizes(24, 24), _draws())[0])
