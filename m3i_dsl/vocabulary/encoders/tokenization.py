"""From texts to token ids, 0 for padding.

Takes: texts and a context length. Gives: int64 `[B, context]`. Guarantees: pure; a text that is too long keeps its
beginning and its end token; no torch.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.vocabulary.kinds import WordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEGIN = 257
END = 258
BYTE_VOCABULARY = 259
"""Padding, 256 bytes, begin and end."""


def byte_ids(texts: list[str], context: int) -> "NDArray[np.int64]":
    """BEGIN, the bytes of the UTF-8 text plus one, END, zeros."""
    import numpy as np

    ids = np.zeros((len(texts), context), dtype=np.int64)
    for row, text in enumerate(texts):
        data = np.frombuffer(text.encode("utf-8", errors="replace")[: context - 2], dtype=np.uint8).astype(np.int64)
        ids[row, 0] = BEGIN
        ids[row, 1 : 1 + len(data)] = data + 1
        ids[row, 1 + len(data)] = END
    return ids


def file_ids(texts: list[str], context: int, path: Path) -> "NDArray[np.int64]":
    """The ids of a `tokenizers` file plus one, with the special tokens that its post-processor adds."""
    import numpy as np

    ids = np.zeros((len(texts), context), dtype=np.int64)
    for row, encoding in enumerate(_tokenizer(path, path.stat().st_mtime_ns).encode_batch(texts)):
        kept = encoding.ids if len(encoding.ids) <= context else [*encoding.ids[: context - 1], encoding.ids[-1]]
        ids[row, : len(kept)] = np.asarray(kept, dtype=np.int64) + 1
    return ids


def file_hideable(ids: "NDArray[np.int64]", path: Path) -> "NDArray[np.bool_]":
    """bool like `ids`: neither padding, nor a special token of the file, nor what its post-processor adds to a text."""
    import numpy as np

    tokenizer = _tokenizer(path, path.stat().st_mtime_ns)
    special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    special = [number + 1 for number in (*special, *tokenizer.encode("").ids)]
    return (ids != 0) & ~np.isin(ids, special)


def file_vocabulary(path: Path) -> int:
    """How many ids `file_ids` may give, padding included."""
    tokenizer = _tokenizer(path, path.stat().st_mtime_ns)
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 2


@functools.lru_cache(maxsize=8)
def _tokenizer(path: Path, modified: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a file that it cannot read
        raise WordError(f"`{path.name}` is not a tokenizer file: {error}", argument="file") from error
    # Padding and truncation are ours: a file's own settings would change ids or lengths behind `context`.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
