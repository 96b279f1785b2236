"""Pictures against their definitions."""

from __future__ import annotations

import numpy as np
import torch

from m3i_dsl.evaluation.pictures import Patches, as_images, balanced_sample, feature_maps, plane, spread
from m3i_dsl.modules.pixels import patchify
from m3i_dsl.vocabulary.representations.dense_pixels import DensePixels

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def test_normalisation_is_undone() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 6))
    images = as_images(normalised(pixels / 255), MEAN, STD)
    assert [image.shape for image in images] == [(4, 6, 3)] * 2
    assert np.array_equal(np.stack(images), pixels.permute(0, 2, 3, 1).numpy())


def test_hidden_patches_are_grey_and_the_others_as_they_were() -> None:
    pixels = torch.rand(1, 3, 4, 4)
    hidden = torch.tensor([[True, False, False, False]])
    image = Patches(2, 2, MEAN, STD).covered(normalised(pixels), hidden)[0]
    assert (image[:2, :2] == 128).all()
    original = (pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(image[2:], original[2:])
    assert np.array_equal(image[:2, 2:], original[:2, 2:])


def test_a_perfect_prediction_is_the_image() -> None:
    images = normalised(torch.rand(3, 3, 8, 8))
    hidden = torch.rand(3, 16).argsort(1) < 9
    patches = Patches(4, 4, MEAN, STD)
    for normalized in (False, True):
        target = patchify(images, 4, 4, normalize=normalized)
        reconstruction = DensePixels(normalize=normalized).reconstruction()
        for prediction in (target, target[hidden].unflatten(0, (3, 9))):
            shown = patches.predicted(images, hidden, prediction, reconstruction)
            difference = np.stack(shown).astype(int) - np.stack(as_images(images, MEAN, STD)).astype(int)
            assert abs(difference).max() <= 1
    wrong = patches.predicted(images, hidden, torch.zeros(3, 9, 12), DensePixels().reconstruction())
    changed = (np.stack(wrong) != np.stack(as_images(images, MEAN, STD))).any(axis=3)
    cells = torch.from_numpy(changed).view(3, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).flatten(3).any(3).flatten(1)
    assert torch.equal(cells, hidden)


def test_feature_maps_show_the_first_components() -> None:
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(6, 3)).Q.T
    weights = torch.rand(2, 4, 3) * torch.tensor([9.0, 3.0, 1.0])
    maps = feature_maps(weights @ directions, 2, 2, scale=2)
    assert [image.shape for image in maps] == [(4, 4, 3)] * 2
    assert np.array_equal(maps[0][::2, ::2], maps[0][1::2, 1::2])
    red = np.stack([image[::2, ::2, 0].ravel() for image in maps]).ravel().astype(float)
    correlation = np.corrcoef(red, weights[..., 0].flatten().numpy())[0, 1]
    assert abs(correlation) > 0.98
    again = feature_maps(weights @ directions, 2, 2, scale=2)
    assert all(np.array_equal(a, b) for a, b in zip(maps, again, strict=True))
    assert feature_maps(torch.ones(1, 4, 2), 2, 2)[0].shape == (2, 2, 3)


def test_the_plane_keeps_groups_apart_and_is_the_same_twice() -> None:
    centres = 5 * torch.eye(3, 10)
    labels = torch.arange(60) % 3
    features = centres[labels] + 0.1 * torch.randn(60, 10, generator=torch.Generator().manual_seed(0))
    points = plane(features)
    assert points.shape == (60, 2)
    middles = np.stack([points[labels.numpy() == c].mean(0) for c in range(3)])
    nearest = ((points[:, None] - middles[None]) ** 2).sum(2).argmin(1)
    assert np.array_equal(nearest, labels.numpy())
    assert np.array_equal(points, plane(features))


def test_the_plane_of_few_or_equal_samples() -> None:
    assert plane(torch.randn(3, 5)).shape == (3, 2)
    assert plane(torch.randn(20, 1)).shape == (20, 2)
    assert np.isfinite(plane(torch.ones(20, 4))).all()


def test_samples_are_balanced() -> None:
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 3)
    chosen = balanced_sample(labels, 12)
    assert labels[chosen].bincount().tolist() == [5, 4, 3]
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(balanced_sample(labels, 1000)) == 58


def test_thumbnails_lie_apart() -> None:
    points = np.array([[0, 0], [0.01, 0], [10, 0], [10, 0.01], [0, 1], [5, 0.5]], dtype=np.float32)
    chosen = spread(points, 4)
    assert len(set(chosen)) == 4
    assert not {0, 1} <= set(chosen)
    assert not {2, 3} <= set(chosen)
    assert len(spread(points, 100)) == 6
