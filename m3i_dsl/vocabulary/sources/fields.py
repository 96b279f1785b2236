"""The fields of sources of images: texts and categories where their arguments name them."""

from __future__ import annotations

from m3i_dsl.vocabulary.kinds import Modality
from m3i_dsl.vocabulary.modalities import Category, Image, Text


def image_fields(*, text: bool, category: bool) -> dict[str, Modality]:
    """`image`, and `text` and `category` where there are such."""
    fields: dict[str, Modality] = {"image": Image()}
    if text:
        fields["text"] = Text()
    if category:
        fields["category"] = Category()
    return fields
