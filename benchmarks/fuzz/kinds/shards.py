"""Tar shards: headers, contents and blocks of them."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

from benchmarks.fuzz.kind import NOTICED, Finding, Kind
from benchmarks.fuzz.kinds.pictures import picture
from benchmarks.fuzz.kinds.sources import TRAINED, Reader
from benchmarks.fuzz.mutations import changed_bytes

SAMPLES = 4
"""Of each shard."""

FEW = 8
"""Bytes: so few that are changed in headers make another archive by no chance."""

SOURCE = 'tar("shards", test: "held-out", category: "cls", caption: "txt", canvas: 16px)'


class Shards(Kind):
    """A shard that is damaged is refused or its samples are counted; another one has another fingerprint."""

    name = "shards"
    what = "headers, contents and blocks of tar shards (ustar, pax, GNU)"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        forms = (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
        places = [*(("shards", number) for number in range(3)), ("held-out", 9)]
        self.files: list[tuple[Path, bytes]] = []
        for split, number in places:
            path = folder / split / f"{number:05}.tar"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive(number * SAMPLES, forms[number % 3]))
            self.files.append((path, path.read_bytes()))
        self.reader = Reader(folder, SOURCE)

    def case(self, chance: random.Random) -> str:
        path, content = chance.choice(self.files)
        changed = changed_bytes(chance, content, [other for _, other in self.files], unit=tarfile.BLOCKSIZE)
        path.write_bytes(changed)
        try:
            way = self.reader.judged(trained=chance.random() < TRAINED)
        finally:
            path.write_bytes(content)
        if way == NOTICED and _headers_only(content, changed) and path.parent.name == "shards":
            raise Finding("a damaged header is taken for another archive")
        return way


def archive(first: int, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file of SAMPLES samples with image, category and caption."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for number in range(first, first + SAMPLES):
            for kind, stored in (
                ("jpg", picture(number, "JPEG")),
                ("cls", b"%d" % (number % 3)),
                ("txt", b"picture %d" % number),
            ):
                # A name that ustar cannot hold, at times, makes the other formats write one more header.
                long = "" if form == tarfile.USTAR_FORMAT or number % 2 else f"{'long' * 40}-"
                info = tarfile.TarInfo(f"{long}{number:06}.{kind}")
                info.size = len(stored)
                tar.addfile(info, io.BytesIO(stored))
    return file.getvalue()


def _headers_only(before: bytes, after: bytes) -> bool:
    """Whether the two differ in a few bytes, and all of these are in headers, which have a checksum."""
    if len(before) != len(after):
        return False
    places = [place for place, (one, two) in enumerate(zip(before, after, strict=True)) if one != two]
    if not 0 < len(places) <= FEW:
        return False
    blocks = {place - place % tarfile.BLOCKSIZE for place in places}
    return all(before[block + 257 : block + 262] == b"ustar" for block in blocks)
