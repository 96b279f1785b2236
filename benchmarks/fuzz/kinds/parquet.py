"""Parquet files: footers, pages, and rows that are other ones."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.kinds.pictures import picture
from benchmarks.fuzz.kinds.sources import TRAINED, Reader
from benchmarks.fuzz.mutations import changed_bytes

ROWS = 6

SOURCE = 'parquet("train", test: "test", image: "image", category: "label", caption: "text", canvas: 16px)'


class ParquetFiles(Kind):
    """A damaged file is refused, or its rows are counted; one that is another one has another fingerprint."""

    name = "parquet"
    what = "footers, page headers, pages and file ends of Parquet files, with and without page checksums"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.files: list[tuple[Path, bytes]] = []
        for split, number in (("train", 0), ("train", 1), ("test", 2)):
            path = folder / split / f"{number}.parquet"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(table(number))
            self.files.append((path, path.read_bytes()))
        self.reader = Reader(folder, SOURCE)

    def case(self, chance: random.Random) -> str:
        path, content = chance.choice(self.files)
        if chance.random() < 0.5:  # the footer, of which a byte decides over more than one of a page does
            length = int.from_bytes(content[-8:-4], "little") + 8
            others = [other[-length:] for _, other in self.files]
            changed = content[:-length] + changed_bytes(chance, content[-length:], others)
        else:
            changed = changed_bytes(chance, content, [other for _, other in self.files])
        path.write_bytes(changed)
        try:
            return self.reader.judged(trained=chance.random() < TRAINED)
        finally:
            path.write_bytes(content)


def table(number: int) -> bytes:
    """ROWS rows in two row groups, as Hugging Face datasets writes them."""
    rows = range(number * ROWS, (number + 1) * ROWS)
    columns = {
        "image": [{"bytes": picture(row, "PNG"), "path": None} for row in rows],
        "label": [row % 3 for row in rows],
        "text": [f"picture {row}" for row in rows],
    }
    features = {"label": {"names": ["a", "b", "c"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    file = io.BytesIO()
    found = pa.table(columns).replace_schema_metadata(metadata)
    compression = ("snappy", "none", "zstd")[number]
    pq.write_table(found, file, row_group_size=ROWS // 2, compression=compression, write_page_checksum=bool(number % 2))
    return file.getvalue()
