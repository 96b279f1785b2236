"""Decoding one image.

Takes: the bytes of a JPEG, PNG, WebP or anything else Pillow reads. Gives: uint8 RGB, as stored or resampled whole to
a square canvas, and the size as stored. Guarantees: the same bytes give the same pixels; whatever is wrong with them
is `Unreadable`.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m3i_dsl.vocabulary.kinds import Unreadable

DEEP_MODES = ("I", "F")
"""Pixel modes of more than 8 bits, which Pillow would clip when asked for RGB."""


def decode(stored: bytes, canvas: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """uint8 [H, W, 3] or, given the side of a canvas, [canvas, canvas, 3]; and (height, width) as stored.

    The canvas shows the whole image, stretched when it is not square: no content is lost, and crops drawn in the
    stored size undo the stretch.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged metadata and very large images; what it can decode is good.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(stored)) as image:
                return pixels_of(image, canvas)
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from error
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise Unreadable(_reason(error)) from error


def pixels_of(image: Image.Image, canvas: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """What `decode` gives, of an image that Pillow has opened. Raises Unreadable, and what Pillow raises."""
    size = (image.height, image.width)
    if image.mode.startswith(DEEP_MODES):
        raise Unreadable(f"pixels of mode {image.mode}, more than 8 bits")
    if canvas is not None:
        image.draft("RGB", (canvas, canvas))  # JPEG: decode at a half, quarter or eighth if that suffices
    picture: Image.Image = image if image.mode == "RGB" else _opaque(image)
    if canvas is not None and picture.size != (canvas, canvas):
        picture = picture.resize((canvas, canvas), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8).copy(), size


def stored_size(stored: bytes) -> tuple[int, int]:
    """(height, width) from the header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(stored)) as image:
                return image.height, image.width
    except (OSError, ValueError, SyntaxError, IndexError, EOFError, Image.DecompressionBombError) as error:
        raise Unreadable(_reason(error)) from error


def _opaque(image: Image.Image) -> Image.Image:
    """RGB; a palette with transparency goes through RGBA, as Pillow asks for. Transparency is dropped."""
    return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and "cannot identify" in str(error):
        return "not an image that can be read"
    return str(error) or type(error).__name__
