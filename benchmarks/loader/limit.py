"""The limit: decoding and cutting, with nothing around them."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from benchmarks.loader.cases import Crops, Job
from m3i_dsl.data.augment.boxes import random_boxes
from m3i_dsl.vocabulary.draws import Draws


def decoding_and_crops(job: Job) -> Iterator[int]:
    """Yields once all processes are ready, and the images when they were decoded and cut."""
    stored = job.stored()
    context = multiprocessing.get_context("fork")
    each = job.images // job.workers
    ready = context.Barrier(job.workers + 1)
    processes = [
        context.Process(target=_all, args=(stored[n :: job.workers], job.case.views, each, ready))
        for n in range(job.workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    yield 0
    for process in processes:
        process.join()
    yield each * job.workers


def _all(stored: list[bytes], views: Sequence[Crops], count: int, ready: Any) -> None:
    torch.set_num_threads(1)
    sizes = np.array([simplejpeg.decode_jpeg_header(one)[:2] for one in stored], dtype=np.int64)
    drawn = [_boxes(sizes, view, number) for number, view in enumerate(views)]
    batch = [torch.empty(view.size, view.size, 3, dtype=torch.uint8).permute(2, 0, 1) for view in views]
    ready.wait()
    for row in itertools.islice(itertools.cycle(range(len(stored))), count):
        image = torch.from_numpy(simplejpeg.decode_jpeg(stored[row])).permute(2, 0, 1)
        for view, boxes, into in zip(views, drawn, batch, strict=True):
            into.copy_(_cut(image, boxes[row], view.size))


def _boxes(sizes: NDArray[np.int64], view: Crops, number: int) -> list[list[int]]:
    draws = Draws(0, 0, np.arange(len(sizes), dtype=np.int64), f"view{number}")
    return random_boxes(sizes, view.scale, (0.75, 1.3333), draws).tolist()


def _cut(image: torch.Tensor, box: Sequence[int], size: int) -> torch.Tensor:
    part = F.crop(image, *box)[None].contiguous(memory_format=torch.channels_last)  # its fastest form
    return F.resize(part, [size, size], InterpolationMode.BICUBIC, antialias=True)[0]
