"""Images of whole batches in memory that the training process shares with its workers.

Takes: a decoder, and how many batches may be under way. Gives: a slot for the batch of each step, used over and over.
Guarantees: workers put images into it and the training process reads them there, with no allocation and no copy in
between; a slot is not given to a worker before its last batch was let go.

Memory is allocated once, as torch shares tensors: it has no name that could be left behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from m3i_dsl.data.decoding import Chunk, Decoder, DecodingFailed, Rows, Travelling
from m3i_dsl.data.sources import SourceFault


class Slots(Dataset[Chunk | DecodingFailed]):
    """The chunks of `decoder`, whose images are put into one of `count` slots."""

    def __init__(self, decoder: Decoder, count: int, *, shared: bool) -> None:
        """Raises SourceFault when there is not so much memory to be `shared` with workers."""
        self.decoder, self.count, self.shared = decoder, count, shared
        self.slots = [self._allocated(images) for images in decoder.travelling]

    def __getitem__(self, rows: Rows) -> Chunk | DecodingFailed:
        """In a worker."""
        return self.decoder.decoded(
            rows, [{name: images.numpy() for name, images in slots.items()} for slots in self.of(rows[0])]
        )

    def of(self, step: int) -> list[dict[str, torch.Tensor]]:
        """For each feed its images in the batch of a step, uint8 [own rows, H, W, 3], by what is travelling."""
        return [{name: slots[step % self.count] for name, slots in images.items()} for images in self.slots]

    def _allocated(self, images: Travelling) -> dict[str, torch.Tensor]:
        shapes = {name: (self.count, images.rows, *size, 3) for name, size in images.sizes.items()}
        if not self.shared:
            return {name: torch.empty(shape, dtype=torch.uint8) for name, shape in shapes.items()}
        try:
            return {name: torch.empty(shape, dtype=torch.uint8).share_memory_() for name, shape in shapes.items()}
        except RuntimeError as error:
            needed = sum(int(np.prod(shape)) for shape in shapes.values())
            raise SourceFault(
                images.data,
                f"no {needed / 2**20:,.2f} MiB of shared memory for {self.count} batches of decoded images",
                help="use fewer `--workers` (0 needs none of it), or give the container more of /dev/shm, writable",
            ) from error


class Tasks(Sampler[Rows]):
    """The chunks of all steps in order, as workers are to begin them."""

    def __init__(self, start: int, stop: int, rows: range, chunk: int, slots: int) -> None:
        """A `chunk` has at most so many rows."""
        self.start, self.stop, self.rows, self.chunk, self.slots = start, stop, rows, chunk, slots
        self.wanted = start
        """The step whose batch is waited for: those before it were let go."""

    def __iter__(self) -> Iterator[Rows]:
        for step in range(self.start, self.stop):
            for first in self.rows[:: self.chunk]:
                if step - self.slots >= self.wanted:
                    raise RuntimeError(f"step {step} would overwrite the images of step {step - self.slots}")
                yield step, first, min(first + self.chunk, self.rows.stop)
