"""JPEG files that the fast library decodes just as Pillow does.

Takes: the bytes of a file. Gives: what its header says, and its pixels. Guarantees: the same pixels as Pillow gives,
for baseline and progressive files of 8 bits, grey or YCbCr, whatever their subsampling; anything else, and whatever
libjpeg-turbo has a warning for, is None and left to Pillow, so that damage is judged in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_START = b"\xff\xd8"
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive, all with Huffman codes."""
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)
_APPLICATION = range(0xE0, 0xF0)
_COMMENT = 0xFE
_SCAN = 0xDA
_EXIF = 0xE1
_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class Header:
    """(height, width) as stored, and whether there is metadata (EXIF, XMP) that may say how to turn the picture."""

    size: tuple[int, int]
    metadata: bool


def header(stored: bytes, largest: int) -> Header | None:
    """What the segments before the first scan say. None above `largest` pixels."""
    if not stored.startswith(_START):
        return None
    place, size, metadata = 2, None, False
    while place + 4 <= len(stored) and stored[place] == 0xFF:
        marker, length = stored[place + 1], int.from_bytes(stored[place + 2 : place + 4])
        if marker == _SCAN:
            return None if size is None else Header(size, metadata)
        if marker in _FRAMES and size is None:
            size = _size(stored[place + 4 : place + 2 + length], largest)
            if size is None:
                return None
        elif marker not in _TABLES and marker not in _APPLICATION and marker != _COMMENT:
            return None
        metadata = metadata or marker == _EXIF
        place += 2 + length
    return None


def _size(frame: bytes, largest: int) -> tuple[int, int] | None:
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in _CHANNELS:
        return None
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    return (height, width) if 0 < height * width <= largest else None


def pixels(stored: bytes) -> NDArray[np.uint8] | None:
    """uint8 [H, W, 3] of a file that has a Header, not turned."""
    try:
        return simplejpeg.decode_jpeg(stored, "RGB", strict=True)
    except ValueError:
        return None
