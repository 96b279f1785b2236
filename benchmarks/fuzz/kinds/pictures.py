"""Small pictures in the formats that are read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

SIDE = 16


def picture(number: int, form: str, mode: str = "RGB", *, settings: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """Smooth, so that JPEG keeps it well, and another one for each number."""
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    (image if mode == "RGB" else _in_mode(image, mode)).save(file, form, **settings)
    return file.getvalue()


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)
