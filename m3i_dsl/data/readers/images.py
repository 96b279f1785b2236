"""Decoding one image.

Takes: the bytes of an image of a known format. Gives: uint8 RGB as it is meant to be seen, in its own size or
resampled whole to a square canvas, and that size. Guarantees: the same bytes give the same pixels; whatever is wrong
with them is `Unreadable`, and so is one of more pixels than its source allows; only FORMATS are tried, of which none
starts another program; which library decodes does not show.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
import zlib
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m3i_dsl.data.readers import jpeg
from m3i_dsl.vocabulary.kinds import Picture, Unreadable

FORMATS: Mapping[str, tuple[str, ...]] = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "PNG": ("png", "apng"),
    "WEBP": ("webp",),
    "AVIF": ("avif", "avifs"),
    "BMP": ("bmp",),
    "DIB": ("dib",),
    "GIF": ("gif",),
    "TIFF": ("tif", "tiff"),
    "PPM": ("ppm", "pgm", "pbm", "pnm", "pfm"),
    "JPEG2000": ("jp2", "j2k", "jpx", "jpc", "jpf"),
    "TGA": ("tga",),
    "PCX": ("pcx",),
    "SGI": ("sgi", "rgb", "rgba", "bw"),
    "ICO": ("ico",),
    "QOI": ("qoi",),
}
"""The formats of Pillow that are read, where it is built with them, and the suffixes of their files."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

LARGEST = 178_956_970
"""Pixels that an image may have where its source does not say: as many as Pillow allows by itself."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of EXIF."""

_ON_ITS_SIDE = 5
"""From here on the rows of an orientation are the columns as stored."""

_WIDE_FORMATS = ("PNG", "PPM")
"""Those whose pixels of mode I are of 16 bits."""

_SAMPLES_PER_PIXEL = 277

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_AROUND = 12
"""Bytes of a part besides its content: size, name and checksum."""

MOST_CHANNELS = 4
"""Red, green, blue and transparency; or cyan, magenta, yellow and black."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or it would print of a TIFF what `Unreadable` says


def picture_of(stored: bytes, canvas: int | None, largest: int | None = None) -> Picture:
    """The picture, of which the header is read now. Raises Unreadable, now or when its pixels are asked for.

    One of more than `largest` pixels (LARGEST for None) is Unreadable before any of them is decoded.

    A canvas shows the whole image, stretched when it is not square: no content is lost, and crops drawn in the true
    size undo the stretch.
    """
    most = LARGEST if largest is None else largest
    header = jpeg.header(stored, most) if canvas is None else None
    if header is not None and not header.metadata:
        return Picture(lambda: _jpeg(stored, None, most), header.size)
    with _judging(stored, most):
        image = _opened(stored, most)
        size, turn = _seen_size(image), _TURNS.get(_orientation(image))
    if header is not None:
        return Picture(lambda: _jpeg(stored, turn, most), size)
    return Picture(lambda: _pixels(stored, image, canvas, most), size)


def decode(stored: bytes, canvas: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """uint8 [H, W, 3] or, given the side of a canvas, [canvas, canvas, 3]; and (height, width) of the image.

    Raises Unreadable.
    """
    picture = picture_of(stored, canvas)
    return picture.pixels, picture.size


def _pixels(stored: bytes, image: Image.Image, canvas: int | None, most: int) -> NDArray[np.uint8]:
    _check_png(stored)
    with _judging(stored, most):
        return pixels_of(image, canvas)[0]


def _jpeg(stored: bytes, turn: Image.Transpose | None, most: int) -> NDArray[np.uint8]:
    found = jpeg.pixels(stored)
    if found is None:
        with _judging(stored, most):
            return pixels_of(_opened(stored, most), None)[0]
    return found if turn is None else np.array(Image.fromarray(found).transpose(turn))


def _opened(stored: bytes, most: int) -> Image.Image:
    image = Image.open(io.BytesIO(stored), formats=_formats())
    if image.width * image.height > most:
        raise Unreadable(_too_large(most))
    return image


def _too_large(most: int) -> str:
    return f"it has more than {most} pixels; `largest` of the source sets how many it may have"


@contextlib.contextmanager
def _judging(stored: bytes, most: int) -> Generator[None]:
    """Around Pillow: whatever it raises is Unreadable. An image in it may have `most` pixels."""
    pillows = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        # Pillow warns about damaged metadata and very large images; what it can decode is good.
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = (most + 1) // 2  # it refuses what has more than twice as many
        try:
            yield
        except Unreadable:
            raise
        except Image.DecompressionBombError as error:
            raise Unreadable(_too_large(most)) from error
        except Exception as error:  # the plug-in of each format raises what it likes
            raise Unreadable(_reason(error, stored)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = pillows


def _check_png(stored: bytes) -> None:
    """Raises Unreadable for a PNG whose pixels fail their checksums, which Pillow compares of other parts only."""
    at = len(_PNG)
    while stored.startswith(_PNG) and at + _PNG_AROUND <= len(stored):
        size = int.from_bytes(stored[at : at + 4], "big")
        end = at + _PNG_AROUND + size
        if stored[at + 4 : at + 8] == b"IDAT":
            if end > len(stored):
                raise Unreadable(f"the file is truncated: the part at byte {at} has {size} bytes")
            if zlib.crc32(memoryview(stored)[at + 4 : end - 4]) != int.from_bytes(stored[end - 4 : end], "big"):
                raise Unreadable(f"its pixels are damaged: the checksum of the part at byte {at} is wrong")
        at = end


def pixels_of(image: Image.Image, canvas: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """What `decode` gives, of an image that Pillow has opened. Raises Unreadable, and what Pillow raises."""
    size = _seen_size(image)
    if canvas is not None:
        image.draft("RGB", (canvas, canvas))  # JPEG: decode at a half, quarter or eighth if that suffices
    picture = _rgb(image)
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        picture = picture.transpose(turn)
    if canvas is not None and picture.size != (canvas, canvas):
        picture = picture.resize((canvas, canvas), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8).copy(), size


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> Any:
    if image.format == "TIFF":  # Pillow turns these itself
        return None
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # metadata that is damaged says nothing
        return None


def _seen_size(image: Image.Image) -> tuple[int, int]:
    orientation = _orientation(image)
    on_its_side = orientation in _TURNS and orientation >= _ON_ITS_SIDE
    return (image.width, image.height) if on_its_side else (image.height, image.width)


def _rgb(image: Image.Image) -> Image.Image:
    """8 bits of red, green and blue. Transparency is dropped; a palette with it goes through RGBA, as Pillow asks."""
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise Unreadable("pixels are floating-point numbers (mode F), which have no range to read them in")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _WIDE_FORMATS):
        wide = np.asarray(image).astype(np.uint32)
        # 65535 is 255: the nearest number of 8 bits, as the PNG specification scales samples.
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "I":
        raise Unreadable("pixels are whole numbers of 32 bits (mode I), which have no range to read them in")
    return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")


def _reason(error: Exception, stored: bytes) -> str:
    if isinstance(error, OSError) and "cannot identify" in str(error):
        return _unidentified(stored)
    return str(error) or type(error).__name__


def _unidentified(stored: bytes) -> str:
    """Why Pillow knows no format for it; it does not say for a TIFF whose pixels it has no mode for."""
    if stored[:4] in (b"II*\0", b"MM\0*"):
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

        try:
            directory: Any = ImageFileDirectory_v2(stored[:8])
            file = io.BytesIO(stored)
            file.seek(directory.next)
            directory.load(file)
            channels = int(directory.get(_SAMPLES_PER_PIXEL, 1))
        except Exception:  # as where pixels are decoded
            channels = 0
        if channels > MOST_CHANNELS:
            return f"an image of {channels} channels; one, three and four are read"
        return "a TIFF file whose kind of pixels is not read"
    return "not an image that can be read" if stored else "an empty file, not an image"
