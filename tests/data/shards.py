"""Tar shards made by hand."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.data.programs import encoded, picture

Members = Mapping[str, bytes]
"""Of one sample, by what is behind the first dot of their names."""


def write_tar(path: Path, samples: Mapping[str, Members]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, members in samples.items():
            for kind, stored in members.items():
                info = tarfile.TarInfo(f"{key}.{kind}")
                info.size = len(stored)
                tar.addfile(info, io.BytesIO(stored))
    return path


def sample(number: int, size: tuple[int, int] = (24, 24)) -> dict[str, bytes]:
    """An image with a category of three, its name and a caption."""
    label = number % 3
    about = {"label": "abc"[label], "number": number, "deep": {"text": f"json {number}"}}
    return {
        "jpg": encoded(picture(number, size)),
        "cls": str(label).encode(),
        "txt": f"caption {number}\n".encode(),
        "json": json.dumps(about).encode(),
    }


def shards(root: Path, counts: Sequence[int], size: tuple[int, int] = (24, 24)) -> Path:
    """`root/shard-00000.tar` and so on, with so many samples each; sample n of all is `sample(n)`."""
    first = 0
    for number, count in enumerate(counts):
        samples = {f"{first + place:06}": sample(first + place, size) for place in range(count)}
        write_tar(root / f"shard-{number:05}.tar", samples)
        first += count
    return root
