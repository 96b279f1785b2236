"""What can be made again: indexes and contents of shards in the cache; and the file of sizes, which a user writes."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from benchmarks.fuzz.kind import EQUAL, Finding, Kind
from benchmarks.fuzz.kinds.shards import SAMPLES, SOURCE, archive
from benchmarks.fuzz.kinds.sources import Reader
from benchmarks.fuzz.mutations import changed_bytes, changed_json

SIZES = 0.3
"""The share of cases that change the file of sizes."""


class Caches(Kind):
    """A cache file that is damaged is made again; sizes that are wrong are refused, or what they hide is counted."""

    name = "caches"
    what = "files of the cache (indexes, contents), and sizes.json"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for split, numbers in (("shards", range(3)), ("held-out", range(3, 4))):
            (folder / split).mkdir()
            for number in numbers:
                (folder / split / f"{number:05}.tar").write_bytes(archive(number * SAMPLES))
        self.sizes = folder / "shards" / "sizes.json"
        self.cache = Path(os.environ["M3IC_CACHE"])
        self.reader = Reader(folder, SOURCE)
        self.kept = {path: path.read_bytes() for path in sorted(self.cache.iterdir()) if path.is_file()}

    def case(self, chance: random.Random) -> str:
        if chance.random() < SIZES:
            return self._sizes(chance)
        changed = chance.sample(sorted(self.kept), chance.randint(1, len(self.kept)))
        for path in changed:
            path.write_bytes(changed_bytes(chance, self.kept[path], list(self.kept.values())))
        try:
            way = self.reader.judged(trained=chance.random() < 0.1)
        finally:
            for path, content in self.kept.items():
                path.write_bytes(content)
        if way != EQUAL:
            raise Finding(f"with a damaged cache the data is {way}")
        return way

    def _sizes(self, chance: random.Random) -> str:
        text = json.dumps({f"{number:05}.tar": SAMPLES for number in range(3)})
        by_value = chance.random() < 0.7
        written = changed_json(chance, text).encode() if by_value else changed_bytes(chance, text.encode())
        self.sizes.write_bytes(written)
        try:
            return self.reader.judged()
        finally:
            self.sizes.unlink()
