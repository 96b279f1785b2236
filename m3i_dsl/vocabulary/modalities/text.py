"""`text`: a caption, which an encoder tokenises."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from m3i_dsl.vocabulary.kinds import Encoder, PlainModality, Storage, TextEncoder, Unreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORDS = ("red", "green", "blue", "old", "new", "big", "small", "round")


@dataclass(frozen=True, slots=True)
class Text(PlainModality):
    """A text, such as the caption of an image, or several, of which one is drawn each time the sample is read.

    Evaluation takes the first. It enters the graph as i64 [B, T]: the tokens of the text encoder that the target is of,
    T of them, 0 for padding.
    """

    name = "text"
    singular = "a text"
    plural = "texts"
    dtype = "i64"
    tokenized = True

    def decode(self, stored: Any, storage: Storage) -> str | tuple[str, ...]:
        if isinstance(stored, str):
            return stored
        if not isinstance(stored, list):
            raise Unreadable(f"is no text but {_kind(stored)}")
        texts = cast(list[object], stored)
        if not texts:
            raise Unreadable("is an empty list, not a text")
        odd = next((text for text in texts if not isinstance(text, str)), None)
        if odd is not None or None in texts:
            raise Unreadable(f"is a list with {_kind(odd)} in it, not a text")
        return tuple(str(text) for text in texts)

    def holds(self, value: Any) -> bool:
        return isinstance(value, str | tuple)

    def several(self, value: str | tuple[str, ...]) -> int:
        return 1 if isinstance(value, str) else len(value)

    def one(self, value: str | tuple[str, ...], number: int) -> str:
        return value if isinstance(value, str) else value[number]

    def memory(self, value: str | tuple[str, ...]) -> int:
        return sys.getsizeof(value) + (0 if isinstance(value, str) else sum(map(sys.getsizeof, value)))

    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        return (_tokenizer(by).context,)

    def collate(self, values: Sequence[str], by: Encoder | None, base: Path) -> NDArray[np.int64]:
        return _tokenizer(by).tokenize(list(values), base)

    def examples(self, rows: int, number: int) -> list[str]:
        return [f"{_WORDS[(row + number) % len(_WORDS)]} {row}" for row in range(rows)]


def _kind(value: object) -> str:
    """What a message calls a value of JSON that is no text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"a number ({str(value)[:20]})"
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "something else"


def _tokenizer(by: Encoder | None) -> TextEncoder:
    assert isinstance(by, TextEncoder), "a representation that reads texts is of a text encoder"
    return by
