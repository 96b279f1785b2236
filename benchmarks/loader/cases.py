"""What is loaded: the pictures of each case as shards, as a folder or as Parquet."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

BATCH = 128


@dataclass(frozen=True, slots=True)
class Crops:
    """`count` views of `size` x `size`, each of a box that covers a share of the picture in `scale`."""

    count: int
    size: int
    scale: tuple[float, float] = (0.08, 1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """Pictures whose shorter side is `side` (None: CIFAR), and the views of each."""

    name: str
    side: int | None
    crops: tuple[Crops, ...]

    @property
    def views(self) -> tuple[Crops, ...]:
        """One for each view."""
        return tuple(Crops(1, crops.size, crops.scale) for crops in self.crops for _ in range(crops.count))


CASES = (
    Case("JPEG of 256 px, one view of 224", 256, (Crops(1, 224),)),
    Case("JPEG of 256 px, two views of 224", 256, (Crops(2, 224),)),
    Case("JPEG of 375 px, one view of 224", 375, (Crops(1, 224),)),
    Case("JPEG of 375 px, two views of 224", 375, (Crops(2, 224),)),
    Case("JPEG of 375 px, 2 x 224 and 8 x 96", 375, (Crops(2, 224, (0.25, 1.0)), Crops(8, 96, (0.05, 0.25)))),
    Case("CIFAR in Parquet, one view of 32", None, (Crops(1, 32),)),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A case to be measured: `images` images with `workers` processes. `tars` and `files` have the same pictures."""

    case: Case
    tars: Path
    files: Path
    parquet: Path
    workers: int
    images: int

    @property
    def batches(self) -> int:
        """Batches while the clock runs."""
        return self.images // BATCH

    @property
    def lead(self) -> int:
        """Batches before the clock starts, until all workers are in step; so many follow when it has stopped, for what
        is under way at the end is to be as much as at the start."""
        return 2 * self.workers

    @property
    def all(self) -> int:
        """Batches of the whole run."""
        return self.batches + 2 * self.lead

    def stored(self) -> list[bytes]:
        """The bytes of the pictures."""
        if self.case.side is None:
            return [row["bytes"] for row in pq.read_table(self.parquet, columns=["image"])["image"].to_pylist()]
        return [path.read_bytes() for path in sorted(self.files.glob("*/*.jpg"))]


def prepared(shards: Path, folder: Path, side: int) -> tuple[Path, Path]:
    """(folder of shards, folder of a folder of files) with the pictures of `shards`, their shorter side `side`."""
    tars, files = folder / f"tar{side}", folder / f"files{side}"
    tars.mkdir()
    (files / "all").mkdir(parents=True)
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(tars / path.name, "w") as tar:
            for name, stored in _members(path):
                picture = _resized(stored, side) if name.endswith(".jpg") else stored
                info = tarfile.TarInfo(name)
                info.size = len(picture)
                tar.addfile(info, io.BytesIO(picture))
                if name.endswith(".jpg"):
                    (files / "all" / Path(name).name).write_bytes(picture)
    return tars, files


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith((".jpg", ".cls")) else None
            if file is not None:
                yield member.name, file.read()


def _resized(stored: bytes, side: int) -> bytes:
    image = Image.open(io.BytesIO(stored)).convert("RGB")
    if min(image.size) == side:
        return stored
    scale = side / min(image.size)
    file = io.BytesIO()
    size = (round(image.width * scale), round(image.height * scale))
    image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
