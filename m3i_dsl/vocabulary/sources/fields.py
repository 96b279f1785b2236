"""The fields of sources of images: texts and categories where their arguments name them."""

from __future__ import annotations

from collections.abc import Mapping

from m3i_dsl.vocabulary.kinds import Modality
from m3i_dsl.vocabulary.modalities import Category, Image, Text

FILES: Mapping[str, str] = {"image": "path", "text": "caption", "category": "path"}
"""By field the argument that says where a source of files and folders reads it."""

MEMBERS: Mapping[str, str] = {"image": "path", "text": "caption", "category": "category"}
"""The same for shards."""

COLUMNS: Mapping[str, str] = {"image": "image", "text": "caption", "category": "category"}
"""The same for tables."""

ROOT: Mapping[str, str] = {"image": "root", "text": "prompt", "category": "root"}
"""The same for data sets that a library finds below a folder."""


def image_fields(*, text: bool, category: bool) -> dict[str, Modality]:
    """`image`, and `text` and `category` where there are such."""
    fields: dict[str, Modality] = {"image": Image()}
    if text:
        fields["text"] = Text()
    if category:
        fields["category"] = Category()
    return fields
