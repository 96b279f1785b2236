"""What the fields of samples are."""

from m3i_dsl.vocabulary.kinds import Modality
from m3i_dsl.vocabulary.modalities.category import Category
from m3i_dsl.vocabulary.modalities.image import Image
from m3i_dsl.vocabulary.modalities.text import Text

WORDS: tuple[type[Modality], ...] = (Category, Image, Text)

__all__ = ["WORDS", "Category", "Image", "Text"]
