"""The fast decoder gives what Pillow gives, and judges no damage by itself."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from m3i_dsl.data.readers import jpeg
from m3i_dsl.data.readers.images import LARGEST, Unreadable, decode, picture_of
from tests.data.programs import encoded, picture


def by_pillow(stored: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(stored)) as image:
        return np.asarray(image.convert("RGB"))


def stored_as(mode: str, size: tuple[int, int], **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(3, size)).convert(mode).save(file, "JPEG", **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_pixels_are_those_of_pillow(mode: str, subsampling: str, progressive: bool) -> None:
    for size in ((1, 1), (9, 7), (16, 16), (101, 3), (64, 75)):
        for quality in (30, 95):
            chroma = {"subsampling": subsampling} if mode == "RGB" else {}
            stored = stored_as(mode, size, quality=quality, progressive=progressive, **chroma)
            found, seen = decode(stored, None)
            assert seen == size
            assert np.array_equal(found, by_pillow(stored))
            fast = jpeg.header(stored, LARGEST)
            assert (fast is None) == (mode == "CMYK")
            fast_pixels = jpeg.pixels(stored)
            if fast is not None:
                assert fast_pixels is not None, "it fell back"
                assert np.array_equal(fast_pixels, by_pillow(stored))


def test_a_header_with_metadata_says_so() -> None:
    assert jpeg.header(encoded(picture(0)), LARGEST) == jpeg.Header((24, 24), metadata=False)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert jpeg.header(stored_as("RGB", (20, 30), exif=exif), LARGEST) == jpeg.Header((20, 30), metadata=True)


def test_the_largest_image_is_the_same_however_it_is_decoded() -> None:
    """The fast library, Pillow with a canvas, and PNG; whatever limit Pillow has by itself."""
    for stored in (stored_as("RGB", (21, 31)), encoded(picture(0, (21, 31)))):
        for canvas in (None, 8):
            assert picture_of(stored, canvas, 651).pixels.shape == ((21, 31, 3) if canvas is None else (8, 8, 3))
            for most in (650, 600, 3):
                with pytest.raises(Unreadable, match=f"more than {most} pixels; `largest` of the source"):
                    picture_of(stored, canvas, most)
    assert Image.MAX_IMAGE_PIXELS == LARGEST // 2, "what Pillow has by itself is as it was"


def test_an_image_may_be_larger_than_pillow_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for stored in (stored_as("RGB", (21, 31)), encoded(picture(0, (21, 31)))):
        assert picture_of(stored, None, 651).pixels.shape == (21, 31, 3)


def test_damage_is_what_pillow_says_it_is() -> None:
    """Files cut off anywhere, and files with changed bytes: refused where Pillow refuses them, else the same pixels."""
    stored = stored_as("RGB", (40, 56), quality=80)
    cut_off = [stored[:length] for length in (0, 2, 20, 300, len(stored) // 2, len(stored) - 2, len(stored) - 1)]
    rng = np.random.default_rng(0)
    changed: list[bytes] = []
    for _ in range(300):
        bytes_ = bytearray(stored)
        for place in rng.integers(2, len(bytes_), rng.integers(1, 4)):
            bytes_[place] = rng.integers(256)
        changed.append(bytes(bytes_))
    refused = 0
    for one in (*cut_off, *changed):
        try:
            expected = by_pillow(one)
        except Exception:
            refused += 1
            with pytest.raises(Unreadable):
                decode(one, None)
            continue
        found, size = decode(one, None)
        assert np.array_equal(found, expected)
        assert size == expected.shape[:2]
    assert len(cut_off) <= refused < 100
