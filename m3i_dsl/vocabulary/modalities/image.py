"""`image`: a picture, which views are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from m3i_dsl.vocabulary.kinds import Picture, Storage, ViewModality


@dataclass(frozen=True, slots=True)
class Image(ViewModality):
    """A picture of 8 bits a channel: JPEG, PNG, WebP, or whatever else Pillow reads.

    It is read as RGB, in the size that it is stored in. With a `canvas` it is resampled whole to that square, stretched
    if need be; crops are drawn in the stored size all the same. Views of it enter the graph as f32 [B, 3, H, W].
    """

    name = "image"
    singular = "an image"
    plural = "images"

    def decode(self, stored: Any, storage: Storage) -> Picture:
        """`stored` is encoded bytes, of which only the header is read now, or a picture that Pillow has opened.

        What is wrong with the rest of them is raised where its pixels are asked for, as Unreadable too.
        """
        from m3i_dsl.data.readers.images import picture_of, pixels_of

        if isinstance(stored, bytes):
            return picture_of(stored, storage.canvas, storage.largest)
        return Picture(*pixels_of(stored, storage.canvas))
