"""The files that the soak trains on, and what happens to them.

Takes: a folder. Gives: tar shards and a folder of images, written from the digits of scikit-learn; and faults of them.
Guarantees: the same bytes each time; a fault is undone to the bit by `mended`.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from m3i_dsl.data.readers.digits import Digits

SHARDS = 4
PHOTOS = 400


def write(folder: Path) -> None:
    """`shards/`, `held-out/` and `photos/` in `folder`."""
    for name, held_out, shards in (("shards", False, SHARDS), ("held-out", True, 1)):
        digits = Digits(held_out)
        (folder / name).mkdir(parents=True)
        for shard in range(shards):
            with tarfile.open(folder / name / f"{shard:05}.tar", "w") as tar:
                for sample in range(shard, len(digits), shards):
                    for kind, stored in _members(digits, sample).items():
                        info = tarfile.TarInfo(f"{sample:06}.{kind}")
                        info.size = len(stored)
                        tar.addfile(info, io.BytesIO(stored))
    digits = Digits(held_out=False)
    for sample in range(PHOTOS):
        members = _members(digits, sample)
        path = folder / "photos" / members["cls"].decode() / f"{sample:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(members["png"])


def _members(digits: Digits, sample: int) -> dict[str, bytes]:
    read = digits.read(sample, frozenset({"image", "category", "text"}))
    file = io.BytesIO()
    Image.fromarray(read["image"].pixels).save(file, "PNG")
    return {"png": file.getvalue(), "cls": str(read["category"]).encode(), "txt": read["text"].encode()}


@dataclass(slots=True)
class Damage:
    """What was done to the files of `folder`."""

    folder: Path
    _before: dict[Path, bytes] = field(default_factory=dict[Path, bytes])

    def shard(self, chance: random.Random) -> None:
        """A shard loses its end, or a header of it a bit."""
        path = self._chosen("shards/*.tar", chance)
        content = bytearray(self._before[path])
        if chance.random() < 0.5:
            del content[chance.randrange(len(content)) :]
        else:
            content[chance.randrange(0, len(content), tarfile.BLOCKSIZE)] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    def images(self, chance: random.Random) -> None:
        """Some images lose their ends."""
        for _ in range(40):
            path = self._chosen("photos/*/*.png", chance)
            path.write_bytes(self._before[path][: chance.randrange(60)])

    def gone(self, chance: random.Random) -> None:
        """A shard and some images are not there."""
        for pattern, count in (("shards/*.tar", 1), ("photos/*/*.png", 40)):
            for _ in range(count):
                self._chosen(pattern, chance).unlink()

    def mended(self) -> None:
        """All is as it was."""
        for path, content in self._before.items():
            path.write_bytes(content)
        self._before.clear()

    def _chosen(self, pattern: str, chance: random.Random) -> Path:
        path = chance.choice(sorted(path for path in self.folder.glob(pattern) if path not in self._before))
        self._before[path] = path.read_bytes()
        return path


FAULTS: dict[str, Callable[[Damage, random.Random], None]] = {
    "a damaged shard": Damage.shard,
    "damaged images": Damage.images,
    "files that are gone": Damage.gone,
}
