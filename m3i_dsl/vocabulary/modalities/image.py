"""`image`: a picture, which views are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from m3i_dsl.vocabulary.kinds import Picture, Storage, ViewModality


@dataclass(frozen=True, slots=True)
class Image(ViewModality):
    """A picture of 8 bits a channel: JPEG, PNG, WebP, or whatever else Pillow reads.

    It is read as RGB. With a `canvas` it is resampled whole to that square, stretched if need be; crops are drawn in
    the size that it is stored in. Views of it enter the graph as f32 [B, 3, H, W].
    """

    name = "image"
    singular = "an image"
    plural = "images"

    def decode(self, stored: Any, storage: Storage) -> Picture:
        """`stored` is encoded bytes, or a picture that Pillow has opened."""
        from m3i_dsl.data.readers.images import decode, pixels_of

        if isinstance(stored, bytes):
            return Picture(*decode(stored, storage.canvas))
        return Picture(*pixels_of(stored, storage.canvas))
