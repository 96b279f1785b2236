"""`coordinates`: a place as it is."""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Encoder, Representation, TargetParts, V
from my_words.place import Place


@dataclass(frozen=True, slots=True)
class Coordinates(Representation):
    """(row, column) of a field of places."""

    name = "coordinates"
    reads = Place
    encoder = None
    table = "coordinates"

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return 2

    def target(self, parts: TargetParts[V]) -> V:
        return parts.aligned(parts.field())
