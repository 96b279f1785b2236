"""What sources of images have in common: compiled, read to the last sample, trained on, compared with before.

Takes: the folder of the data and the source as a recipe writes it. Gives: `Reading`, every sample of both splits, and
how it compares with that before a change.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.kind import COUNTED, EQUAL, NOTICED, REFUSALS, Finding, internal, refused
from m3i_dsl.artifact.lock import Lock
from m3i_dsl.data.describe import describe_data
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import Diagnostics
from m3i_dsl.driver import check_file, graphs
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.kinds import BrokenSample, Dataset, Picture, Sample

RECIPE = """\
m3i 1
recipe changed

data images = {source}
view view1 of images.image = crop(16px)

encoder image = timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 24, depth: 1, heads: 3)
encoder words = transformer(width: 24, layers: 1, heads: 3, context: 24)

objective labels {{
  input     view1
  represent dense feature of image
  target category {{
    data           category
    representation category embedding
    predictor      identity
    regularization negative categories
    distribution   boltzmann
  }}
  target caption {{
    data           text
    representation text embedding of words
    predictor      mlp(hidden: 24)
    regularization negative texts
    distribution   boltzmann
  }}
}}

train {{
  batch     2
  epochs    1
  optimizer adamw(lr: 1e-3)
}}

evaluate {{
  knn(k: 1) at end
}}
"""

TRAINED = 0.1
"""The share of cases in which batches are made as well."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a compiled recipe keeps of the data, and each sample by split, name and field: a hash, None if broken."""

    lock: Lock
    samples: dict[tuple[str, str, str], str | None]


class Reader:
    """Reads the data of `source`, whose paths start at `base`."""

    def __init__(self, base: Path, source: str) -> None:
        self.base = base
        self.program = check_file(SourceFile(str(base / "changed.m3i"), RECIPE.format(source=source))).required()
        self.graph = graphs(self.program)[1]
        self.before = self.reading()

    def reading(self) -> Reading:
        """As `m3ic compile` opens it and training and evaluation read it. Raises REFUSALS."""
        remarks = Diagnostics()
        lock = describe_data(self.program, self.graph, self.base, remarks)
        internal([remark.code for remark in remarks])
        dataset = self.program.data["images"].source.word.open(self.base)
        found = {**_samples("train", dataset), **_samples("test", dataset.evaluation())}
        return Reading(lock, found)

    def judged(self, *, trained: bool = False) -> str:
        """How the data compares with before. Raises Finding for a sample that is another one, or gone, silently."""
        try:
            after = self.reading()
            if trained:
                self._train()
        except REFUSALS as fault:
            return refused(fault)
        if after.samples == self.before.samples:
            return EQUAL
        if after.lock != self.before.lock:
            return NOTICED
        for key, before in self.before.samples.items():
            now = after.samples.get(key, "gone")
            if now is not None and now != before:
                raise Finding(f"{' '.join(key)} is {'gone' if now == 'gone' else 'another one'} without a word")
        return COUNTED

    def _train(self) -> None:
        stream = Stream(self.program, [input_.source for input_ in self.graph.inputs], base=self.base)
        for batch in stream.batches(0, min(3, stream.steps_per_epoch)):
            for name, tensor in batch.items():
                if len(tensor) != self.program.training.batch:
                    raise Finding(f"input `{name}` of a batch has {len(tensor)} rows")


def _samples(split: str, dataset: Any) -> dict[tuple[str, str, str], str | None]:
    fields = frozenset(("image", "category", "text") if split == "train" else ("image", "category"))
    found: dict[tuple[str, str, str], str | None] = {}
    for index in range(len(dataset)):
        # Together as training reads them, and each by itself where one of them is broken.
        whole = _read(dataset, index, fields)
        for field in sorted(fields):
            value = (whole or _read(dataset, index, frozenset({field})) or {}).get(field)
            found[split, dataset.name(index), field] = None if value is None else _hash(value)
    return found


def _read(dataset: Dataset, index: int, fields: frozenset[str]) -> Sample | None:
    try:
        sample = dataset.read(index, fields)
        if "image" in sample:
            _ = sample["image"].pixels  # decoded now
        return sample
    except BrokenSample as fault:
        if not fault.name or not fault.reason:
            raise Finding(f"a broken sample without a name or a reason: {fault}") from fault
        return None


def _hash(value: Any) -> str:
    if isinstance(value, Picture):
        if value.pixels.dtype != np.uint8 or value.pixels.ndim != 3 or value.pixels.shape[2] != 3:
            raise Finding(f"pixels are {value.pixels.dtype} {value.pixels.shape}")
        return hashlib.blake2b(value.pixels.tobytes() + repr(value.size).encode(), digest_size=8).hexdigest()
    if not isinstance(value, str | int | tuple | list):
        raise Finding(f"a field is {type(value).__name__}")
    return repr(value)
