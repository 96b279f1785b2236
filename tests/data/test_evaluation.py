"""Labelled images for evaluation: deterministic, prepared as the encoder expects them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.evaluation import LabelledSource, normalization
from m3i_dsl.vocabulary.kinds import PART, Dataset
from m3i_dsl.vocabulary.sources import Embedded, Folder
from m3i_dsl.vocabulary.transforms import Crop, Normalize
from tests.data.programs import digits, encoded, image_folder, picture, program


@dataclass(frozen=True, slots=True)
class Labelled:
    """All parts of a source, joined."""

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    broken: tuple[Broken, ...]


def labelled(opened: Dataset, workers: int = 0, **settings: Any) -> Labelled:
    source = LabelledSource(opened, workers=workers, **settings)
    images, labels, indices, broken = [torch.empty(0, 3, *source.size)], [], [], []
    for part in source.read(range(source.count)):
        images.append(source.images(part).clone())
        labels.append(part.labels)
        indices.append(torch.from_numpy(part.indices))
        broken.extend(part.broken)
    nothing = torch.empty(0, dtype=torch.int64)
    return Labelled(torch.cat(images), torch.cat([nothing, *labels]), torch.cat([nothing, *indices]), tuple(broken))


NORMALIZE = Normalize(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def test_images_are_the_centre_resized_and_normalised(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 2, "b": 1}, size=(30, 50))
    found = labelled(Folder("train").open(tmp_path), size=(16, 16), normalize=NORMALIZE)
    assert found.labels.tolist() == [0, 0, 1]
    assert found.indices.tolist() == [0, 1, 2]
    for index in range(3):
        image = torch.from_numpy(picture(index, (30, 50)).copy()).permute(2, 0, 1)
        centre = F.resize(F.center_crop(image, [30, 30]), [16, 16], InterpolationMode.BICUBIC, antialias=True)
        reference = F.normalize(centre / 255, list(NORMALIZE.mean), list(NORMALIZE.std))
        torch.testing.assert_close(found.images[index], reference, atol=1e-4, rtol=0)


def test_digits_and_a_limit_that_spreads() -> None:
    source = Embedded("digits").open(Path()).evaluation()
    whole = labelled(source, size=(16, 16), normalize=NORMALIZE)
    assert whole.images.shape == (359, 3, 16, 16)
    assert len(whole.labels) == 359
    unlabelled = labelled(source, size=(16, 16), normalize=NORMALIZE, category=None)
    assert torch.equal(whole.images, unlabelled.images) and unlabelled.labels.tolist() == 359 * [0]
    some = labelled(source, size=(16, 16), normalize=NORMALIZE, limit=50)
    assert len(some.labels) == 50
    assert some.indices[-1] > 340
    assert len(set(some.indices.tolist())) == 50
    torch.testing.assert_close(some.images, whole.images[some.indices], atol=1e-6, rtol=0)
    assert torch.equal(some.labels, whole.labels[some.indices])


def test_a_size_that_is_not_square_keeps_the_aspect(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 1}, size=(40, 40))
    found = labelled(Folder("train").open(tmp_path), size=(10, 20), normalize=NORMALIZE)
    image = torch.from_numpy(picture(0, (40, 40)).copy()).permute(2, 0, 1)
    middle = F.resize(image[:, 10:30], [10, 20], InterpolationMode.BICUBIC, antialias=True)
    reference = F.normalize(middle / 255, list(NORMALIZE.mean), list(NORMALIZE.std))
    torch.testing.assert_close(found.images[0], reference, atol=1e-4, rtol=0)


def test_broken_samples_are_left_out_and_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "train", {"a": 9, "b": 3})
    (root / "a" / "04.png").write_bytes(encoded(picture(4), "PNG")[:60])
    found = labelled(Folder("train").open(tmp_path), size=(8, 8), normalize=NORMALIZE)
    assert found.indices.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert found.labels.tolist() == [0] * 8 + [1] * 3
    assert len(found.images) == 11
    assert [broken.name for broken in found.broken] == ["a/04.png"]


def test_the_normalisation_is_the_views() -> None:
    assert normalization(digits().views["view1"]) == Normalize()
    own = program({"digits": Embedded("digits")}, 4, views={"view": (Crop(size=8), NORMALIZE)})
    assert normalization(own.views["view"]) == NORMALIZE
    bare = program({"digits": Embedded("digits")}, 4, views={"view": (Crop(size=8),)})
    assert normalization(bare.views["view"]) == Normalize()


def test_nothing_to_evaluate_on_is_empty_not_an_error() -> None:
    source = Embedded("digits").open(Path())
    assert labelled(source, size=(8, 8), normalize=NORMALIZE, limit=0).images.shape == (0, 3, 8, 8)


@pytest.mark.parametrize("limit", [1, 256, 257])
def test_parts_do_not_show(limit: int) -> None:
    source = Embedded("digits").open(Path())
    found = labelled(source, size=(8, 8), normalize=NORMALIZE, limit=limit)
    assert len(found.images) == len(found.labels) == limit


def test_workers_and_the_choice_of_parts_change_nothing(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "train", {"a": PART + 70, "b": 3}, size=(9, 12))
    (root / "a" / "03.png").write_bytes(b"no image")
    (root / "a" / "300.png").write_bytes(b"no image")
    opened = Folder("train").open(tmp_path)
    settings: dict[str, Any] = {"size": (8, 8), "normalize": NORMALIZE}
    one, two = labelled(opened, **settings), labelled(opened, workers=2, **settings)
    assert torch.equal(one.images, two.images) and torch.equal(one.labels, two.labels)
    assert torch.equal(one.indices, two.indices) and one.broken == two.broken and len(two.broken) == 2
    (last,) = LabelledSource(opened, **settings).read([1])
    assert last.indices.tolist() == one.indices[one.indices >= PART].tolist()
    (chosen,) = LabelledSource(opened, **settings).some(np.array([290]))
    assert torch.equal(chosen, one.images[one.indices.tolist().index(290)])
