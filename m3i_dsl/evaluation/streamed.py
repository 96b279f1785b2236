"""A split of any size, read part by part.

Takes: a source to evaluate on. Gives: a `Split` whose images are decoded when they are gone through. Guarantees: the
memory is a few parts, and the pixels of small splits, which are decoded once; labels are known after the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from m3i_dsl.data.batch import Broken
from m3i_dsl.data.evaluation import DecodedPart, LabelledSource
from m3i_dsl.data.limits import unusable, worker_died
from m3i_dsl.data.loader import WorkerDied
from m3i_dsl.data.sources import SourceFault
from m3i_dsl.evaluation import errors
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.kinds import ALONE, Split, Team, in_order

KEPT = 192 * 2**20
"""Bytes of decoded pixels of a split that a process keeps."""

LARGEST_SPLIT = 8 * 2**30
"""Bytes of float32 images that a split may take at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a split turned out to hold: for each part its number of images; `labels` and `indices` [N] of all."""

    counts: tuple[int, ...]
    labels: Tensor
    indices: Tensor
    broken: tuple[Broken, ...]


class StreamedSplit(Split):
    """The split `name` ("training", "test") of `source`. `learned` is told when it is first known to all processes."""

    def __init__(
        self,
        name: str,
        source: LabelledSource,
        *,
        program: Program,
        learned: Callable[[StreamedSplit], object] | None = None,
    ) -> None:
        self.name, self.source, self._program = name, source, program
        self._learned = learned
        self._known: Known | None = None
        self._shared = False
        self._kept: dict[int, DecodedPart] = {}

    @property
    def images(self) -> Tensor:
        height, width = self.image_size
        if 4 * 3 * height * width * len(self.source.chosen) > LARGEST_SPLIT:
            most = LARGEST_SPLIT // (4 * 3 * height * width)
            raise errors.EvaluationError(
                errors.SPLIT_TOO_LARGE,
                f"an evaluator takes all {len(self.source.chosen)} {self.name} images at once, more than memory holds",
                help=f"take at most {most} of each split: `--limit {most}`; or let it go through `split.parts()`",
            )
        found = [images.cpu() for _, images in self.parts()]
        return torch.cat(found) if found else torch.empty(0, 3, height, width)

    @property
    def labels(self) -> Tensor:
        return self.known.labels

    @property
    def broken(self) -> tuple[str, ...]:
        return () if self._known is None else tuple(map(str, self._known.broken))

    @property
    def image_size(self) -> tuple[int, int]:
        return self.source.size

    @property
    def known(self) -> Known:
        """What it holds. Goes through all of it if that was not done before, in this process alone."""
        if self._known is None:
            for _ in self._read(ALONE):
                pass
        assert self._known is not None
        return self._known

    def parts(self, team: Team = ALONE) -> Generator[tuple[int | None, Tensor]]:
        with closing(self._read(team)) as decoded:
            for number, part in decoded:
                if part is not None:
                    yield number, self.source.images(part)
                elif team.lockstep:
                    yield None, torch.zeros(1, 3, *self.image_size, device=self.source.device)

    def places(self) -> list[range]:
        ends = np.cumsum(self.known.counts).tolist()
        return [range(end - count, end) for count, end in zip(self.known.counts, ends, strict=True)]

    def some(self, places: Sequence[int]) -> Tensor:
        return self.source.some(self.known.indices[list(places)].numpy())

    def _read(self, team: Team) -> Generator[tuple[int, DecodedPart | None]]:
        """The parts of this process, one a round; None where there is none left, or nothing readable in it."""
        count = self.source.count
        own = range(team.rank, count, team.size)
        keep = self.source.bytes // team.size <= KEPT
        done: dict[int, DecodedPart] = {}
        missing = [number for number in own if number not in self._kept]
        with closing(self._decoded(missing)) as decoded:
            for first in range(0, count, team.size):
                team.round(f"part {first + 1} of {count} of the {self.name} images")
                number = first + team.rank
                if number >= count:
                    yield number, None
                    continue
                part = self._kept[number] if number in self._kept else next(decoded)
                if keep and number not in self._kept:
                    part = self._kept[number] = replace(part, pixels=part.pixels.clone())
                done[number] = replace(part, pixels=_NONE, sizes=part.sizes[:0])
                yield number, part if len(part.pixels) else None
        self._learn(team, done)

    def _decoded(self, numbers: Sequence[int]) -> Generator[DecodedPart]:
        """Raises RecipeError (M3I0501, M3I0522)."""
        try:
            yield from self.source.read(numbers)
        except WorkerDied as death:
            raise worker_died(self._program, death) from death
        except SourceFault as fault:
            raise unusable(self._program, fault) from fault

    def _learn(self, team: Team, done: dict[int, DecodedPart]) -> None:
        if self._known is not None and (self._shared or team is ALONE):
            return
        parts = in_order(team, done)
        self._known = Known(
            counts=tuple(len(part.labels) for part in parts),
            labels=torch.cat([torch.empty(0, dtype=torch.int64), *(part.labels for part in parts)]),
            indices=torch.from_numpy(np.concatenate([np.empty(0, dtype=np.int64), *(part.indices for part in parts)])),
            broken=tuple(fault for part in parts for fault in part.broken),
        )
        if len(self._known.labels) == 0:
            raise empty(self.name)
        if team is not ALONE and not self._shared:
            self._shared = True
            if self._learned is not None:
                self._learned(self)


_NONE = torch.empty(0, 0, 0, 3, dtype=torch.uint8)


def empty(name: str) -> errors.EvaluationError:
    """M3I0750, for a split without a readable image."""
    return errors.EvaluationError(
        errors.NO_LABELLED_SPLIT,
        f"the {name} split to evaluate on is empty",
        help="evaluate on data with images and categories in both splits",
    )
