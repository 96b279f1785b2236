"""m3ic, and what others load with. Each delivers batches of 8-bit views to this process, mirrored half of the time."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as T

from benchmarks.loader.cases import BATCH, Crops, Job
from m3i_dsl import driver
from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.source import SourceFile

RECIPE = """m3i 1
recipe loading

data images = {source}

{views}

encoder image = timm("vit_tiny_patch16_224", image: {size}px, patch: 16px, width: 24, depth: 1, heads: 1)

objective loading {{
  input     {first}
  represent dense feature of image

  target category {{
    data           category
    representation category embedding
    predictor      identity
    regularization negative categories
    distribution   boltzmann
  }}
}}

train {{
  batch     {batch}
  epochs    1
  optimizer adamw(lr: 1e-3)
  schedule  constant
}}
"""
"""Of which only the source, the views, the batch and the order are used."""


def ours(job: Job) -> Iterator[int]:
    """Through m3ic: its order, its workers, batches as they arrive in the training process."""
    if job.case.side is None:
        source = f'parquet("{job.parquet}", category: "label")'
    else:
        source = f'tar("{job.tars}", category: "cls")'
    views = [
        f"view view{number} of images.image = crop({crops.size}px, "
        f"scale: {100 * crops.scale[0]:g}%..{100 * crops.scale[1]:g}%) | flip"
        for number, crops in enumerate(job.case.views)
    ]
    text = RECIPE.format(source=source, views="\n".join(views), first="view0", size=job.case.views[0].size, batch=BATCH)
    program = driver.check_file(SourceFile("loading.m3i", text)).required()
    inputs = [ViewInput(f"x{number}", f"view{number}") for number in range(len(views))]
    stream = Stream(program, inputs, base=job.tars, workers=job.workers)
    with closing(stream.decoded(0, job.all)) as batches:
        # Pictures of CIFAR travel whole.
        yield from counted((list(part.images.values()) for (part,) in batches), job)


class Views:
    """Torchvision's own transforms of a picture that Pillow has opened."""

    def __init__(self, views: Sequence[Crops]) -> None:
        self.transforms = [
            T.Compose(
                [
                    T.RandomResizedCrop(view.size, view.scale, interpolation=InterpolationMode.BICUBIC, antialias=True),
                    T.RandomHorizontalFlip(),
                    T.PILToTensor(),
                ]
            )
            for view in views
        ]

    def __call__(self, picture: Image.Image) -> tuple[Tensor, ...]:
        return tuple(transform(picture) for transform in self.transforms)


def torchvision_folder(job: Job) -> Iterator[int]:
    """Files of a folder through torchvision's ImageFolder and torch's DataLoader."""
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(job.files), Views(job.case.views))
    yield from counted((views for views, _ in _epochs(data, job)), job)


def webdataset(job: Job) -> Iterator[int]:
    """The same shards through webdataset, shuffled in a buffer, with torchvision's transforms."""
    import webdataset as wds

    cut = Views(job.case.views)
    urls = [str(path) for path in sorted(job.tars.glob("*.tar"))]
    data = (
        wds.WebDataset(urls, shardshuffle=len(urls), nodesplitter=None)
        .repeat()
        .shuffle(500)
        .to_tuple("jpg")
        .map(lambda sample: cut(Image.open(io.BytesIO(sample[0])).convert("RGB")))
        .batched(BATCH, partial=False)
    )
    loader = wds.WebLoader(data, batch_size=None, num_workers=job.workers).slice(job.all)
    yield from counted(loader, job)


def timm_folder(job: Job) -> Iterator[int]:
    """Files of a folder through timm's dataset, transforms and loader, which make one view of each."""
    from timm.data import create_dataset, create_transform

    (view,) = job.case.views
    data: Any = create_dataset("", str(job.files))
    data.transform = create_transform(
        view.size, is_training=True, scale=view.scale, color_jitter=None, interpolation="bicubic", use_prefetcher=True
    )
    yield from counted(([images] for images, _ in _epochs(data, job)), job)


def _epochs(data: Any, job: Job) -> Iterator[Any]:
    epochs = -(-job.all // (len(data) // BATCH))
    loader: Any = DataLoader(
        data, BATCH, shuffle=True, num_workers=job.workers, drop_last=True, persistent_workers=True
    )
    return itertools.islice(itertools.chain.from_iterable(loader for _ in range(epochs)), job.all)


def counted(batches: Any, job: Job) -> Iterator[int]:
    """0 when the clock is to start, the images when it is to stop; after that the rest is under way."""
    batches = iter(batches)
    for _ in range(job.lead):
        _images(next(batches))
    yield 0
    yield sum(_images(next(batches)) for _ in range(job.batches))
    for batch in batches:
        _images(batch)


def _images(views: Sequence[Tensor]) -> int:
    if not views or any(len(view) != BATCH or view.dtype != torch.uint8 for view in views):
        raise ValueError(f"a batch of {[(view.shape, view.dtype) for view in views]}")
    return BATCH


OTHERS: dict[str, Callable[[Job], Iterator[int]]] = {
    "torchvision, folder": torchvision_folder,
    "webdataset, tar": webdataset,
    "timm, folder": timm_folder,
}
"""By their library, and what they read."""
