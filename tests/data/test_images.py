"""Decoding images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from m3i_dsl.data.readers.images import Unreadable, decode, picture_of
from tests.data.programs import encoded, picture


def test_lossless_formats_come_back_exactly() -> None:
    image = picture(0, (20, 30))
    for format_ in ("PNG", "BMP", "TIFF"):
        decoded, size = decode(encoded(image, format_), None)
        assert size == (20, 30)
        assert np.array_equal(decoded, image)
        assert decoded.flags.writeable


def test_a_canvas_shows_the_whole_image_and_the_size_is_that_of_the_file() -> None:
    image = picture(0, (300, 500))
    decoded, size = decode(encoded(image), 64)
    assert size == (300, 500) == picture_of(encoded(image), None).size
    assert decoded.shape == (64, 64, 3)
    reference = Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(decoded.astype(int) - np.asarray(reference).astype(int)).mean() < 3  # JPEG, decoded at a quarter


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_other_modes_become_rgb(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(picture(0)).convert(mode).save(file, "TIFF")
    decoded, _ = decode(file.getvalue(), None)
    assert decoded.shape == (24, 24, 3)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "not an image"),
        (b"a text, not an image", "not an image"),
        (encoded(picture(0))[:-200], "truncated"),
        (encoded(picture(0), "PNG")[:-40], "truncated"),
    ],
)
@pytest.mark.parametrize("canvas", [None, 16])
def test_damaged_bytes_say_what_is_wrong(stored: bytes, reason: str, canvas: int | None) -> None:
    with pytest.raises(Unreadable, match=f"(?i){reason}"):
        decode(stored, canvas)


def test_a_png_whose_pixels_fail_their_checksum_is_no_image() -> None:
    stored = encoded(picture(3), "PNG")
    at = stored.index(b"IDAT")
    for place in (at - 4, at - 3, at + 4, at + 20, len(stored) - 14):  # its length, its content, its checksum
        damaged = bytearray(stored)
        damaged[place] ^= 1
        with pytest.raises(Unreadable):
            decode(bytes(damaged), None)
    assert decode(stored, None)[1] == (24, 24)


def test_what_a_png_says_behind_its_pixels_may_be_damaged() -> None:
    stored = encoded(picture(3), "PNG")
    end = len(stored) - 12
    comment = (4).to_bytes(4, "big") + b"tEXta\0bc" + bytes(4)
    assert np.array_equal(decode(stored[:end] + comment + stored[end:], None)[0], picture(3))


def test_a_tiff_of_a_few_bytes_is_no_image() -> None:
    for length in range(4, 9):
        with pytest.raises(Unreadable):
            decode(b"II*\0\1\0\0\0"[:length], None)
