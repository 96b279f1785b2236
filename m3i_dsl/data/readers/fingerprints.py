"""One hash over the files of a source.

Takes: names and paths of local files. Gives: a fingerprint. Guarantees: names, sizes and order of all files are in it;
of files that take WHOLE bytes together every byte, so that any change is noticed; of more, the first and the last
bytes of SAMPLED files spread over all of them, so that a source of any size costs the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from m3i_dsl.source.regular import open_regular

WHOLE = 64 << 20
MOST_WHOLE = 20_000
"""Bytes, and files, whose content is hashed to the last byte."""

SAMPLED = 256
BLOCK = 1 << 16


def fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """Of files in their order, each with the name that it has whatever machine it lies on. Raises OSError."""
    found = [(name, path, path.stat().st_size) for name, path in files]
    digest = hashlib.blake2b(digest_size=16)
    for name, _, size in found:
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    whole = sum(size for *_, size in found) <= WHOLE and len(found) <= MOST_WHOLE
    places = (
        range(len(found)) if whole else np.unique(np.linspace(0, len(found) - 1, SAMPLED).astype(np.int64)).tolist()
    )
    for place in places:
        _, path, size = found[place]
        with open_regular(path) as file:
            if whole:
                while block := file.read(1 << 20):
                    digest.update(block)
            else:
                digest.update(file.read(BLOCK))
                file.seek(max(0, size - BLOCK), os.SEEK_SET)
                digest.update(file.read(BLOCK))
    return digest.hexdigest()
