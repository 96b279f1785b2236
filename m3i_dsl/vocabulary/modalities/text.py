"""`text`: a caption, which an encoder tokenises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.kinds import Encoder, PlainModality, Storage, TextEncoder, Unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORDS = ("red", "green", "blue", "old", "new", "big", "small", "round")


@dataclass(frozen=True, slots=True)
class Text(PlainModality):
    """A text, such as the caption of an image.

    It enters the graph as i64 [B, T]: the tokens of the text encoder that the target is of, T of them, 0 for padding.
    """

    name = "text"
    singular = "a text"
    plural = "texts"
    dtype = "i64"
    tokenized = True

    def decode(self, stored: Any, storage: Storage) -> str:
        if not isinstance(stored, str):
            raise Unreadable("is no text")
        return stored

    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        return (_tokenizer(by).context,)

    def collate(self, values: Sequence[str], by: Encoder | None, base: Path) -> NDArray[np.int64]:
        return _tokenizer(by).tokenize(list(values), base)

    def examples(self, rows: int, number: int) -> list[str]:
        return [f"{_WORDS[(row + number) % len(_WORDS)]} {row}" for row in range(rows)]


def _tokenizer(by: Encoder | None) -> TextEncoder:
    assert isinstance(by, TextEncoder), "a representation that reads texts is of a text encoder"
    return by
