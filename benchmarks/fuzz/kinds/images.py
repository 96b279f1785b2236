"""Image files: bytes of every format that is read, and captions beside them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from benchmarks.fuzz.kind import COUNTED, EQUAL, NOTICED, Finding, Kind
from benchmarks.fuzz.kinds.pictures import picture
from benchmarks.fuzz.kinds.sources import TRAINED, Reader
from benchmarks.fuzz.mutations import changed_bytes
from m3i_dsl.data.readers.images import decode, picture_of
from m3i_dsl.vocabulary.kinds import Unreadable

FORMS = (
    ("jpg", "JPEG", "RGB", {"quality": 95}), ("jpeg", "JPEG", "L", {"progressive": True}), ("jpe", "JPEG", "CMYK", {}),
    ("png", "PNG", "RGB", {}), ("apng", "PNG", "RGBA", {}), ("PNG", "PNG", "P", {}), ("pNg", "PNG", "I;16", {}),
    ("webp", "WEBP", "RGB", {"lossless": True}), ("WEBP", "WEBP", "RGBA", {}), ("avif", "AVIF", "RGB", {}),
    ("bmp", "BMP", "RGB", {}), ("dib", "DIB", "L", {}), ("gif", "GIF", "P", {}), ("tif", "TIFF", "RGB", {}),
    ("tiff", "TIFF", "I;16", {"compression": "tiff_lzw"}), ("TIF", "TIFF", "1", {"compression": "group4"}),
    ("ppm", "PPM", "RGB", {}), ("pgm", "PPM", "I;16", {}), ("jp2", "JPEG2000", "RGB", {}), ("tga", "TGA", "RGBA", {}),
    ("pcx", "PCX", "RGB", {}), ("rgb", "SGI", "RGB", {}), ("ico", "ICO", "RGBA", {}),
)  # fmt: skip

CHECKED = ("PNG",)
"""Formats of which every byte that makes pixels is under a checksum."""

AS_SOURCE = 0.1
"""The share of cases in which the whole folder is read, captions too; in the others the image alone."""

SOURCE = 'folder("train", test: "test", caption: true, canvas: 16px)'


class Images(Kind):
    """Decoding is a function of the bytes; what is cut off or fails its checksum is no image; a change is noticed."""

    name = "images"
    what = "bytes of images in fifteen formats and modes, and of the captions beside them"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.files: list[tuple[Path, bytes, str]] = []
        for number, (suffix, form, mode, settings) in enumerate(FORMS):
            path = folder / "train" / "abc"[number % 3] / f"{number:02}.{suffix}"
            self._write(path, picture(number, form, mode, settings=settings), form)
            self._write(path.with_suffix(".txt"), b"picture %d" % number, "")
        for number in range(3):
            path = folder / "test" / "abc"[number] / f"{number:02}.png"
            self._write(path, picture(100 + number, "PNG"), "PNG")
            self._write(path.with_suffix(".txt"), b"held-out picture %d" % number, "")
        self.reader = Reader(folder, SOURCE)

    def _write(self, path: Path, content: bytes, form: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files.append((path, content, form))

    def case(self, chance: random.Random) -> str:
        as_source = chance.random() < AS_SOURCE
        path, content, form = chance.choice([file for file in self.files if as_source or file[2]])
        changed = changed_bytes(chance, content, [other for _, other, _ in self.files])
        if not as_source:
            return self._decoded(content, changed, form)
        path.write_bytes(changed)
        try:
            return self.reader.judged(trained=chance.random() < TRAINED)
        finally:
            path.write_bytes(content)

    def _decoded(self, content: bytes, changed: bytes, form: str) -> str:
        try:
            size = picture_of(changed, None).size
            pixels, seen = decode(changed, None)
            again, _ = decode(changed, None)
            small, _ = decode(changed, 16)
        except Unreadable as fault:
            if not str(fault):
                raise Finding(f"{form}: unreadable without a reason") from fault
            return COUNTED
        if not np.array_equal(pixels, again):
            raise Finding(f"{form}: the same bytes give two pictures")
        if pixels.shape != (*seen, 3) or pixels.dtype != np.uint8 or small.shape != (16, 16, 3):
            raise Finding(f"{form}: pixels are {pixels.dtype} {pixels.shape} of {seen}, on a canvas {small.shape}")
        if size != seen:
            raise Finding(f"{form}: its header says {size}, its pixels are {seen}")
        before, _ = decode(content, None)
        if np.array_equal(before, pixels):
            return EQUAL
        if len(changed) < len(content) and content.startswith(changed):
            raise Finding(f"{form}: cut off after {len(changed)} of {len(content)} bytes, it is another picture")
        if form in CHECKED and changed[:8] == content[:8] and len(changed) == len(content):
            raise Finding(f"{form}: damaged, it is another picture")
        return NOTICED
