"""The columns of Parquet sources: are they there, do they hold what a field needs, and which categories are there.

Takes: the schema of a file and the column names of the recipe. Gives: the category of every row, and the names.
Guarantees: every fault is a WordError at the argument that named the column, with the columns there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from m3i_dsl.data.readers.places import Place
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import WordError


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns of each field."""

    image: str
    caption: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class Labels:
    """The category index of every row, int64 [N], and the names in index order."""

    indices: NDArray[np.int64]
    names: tuple[str, ...]


def check_columns(columns: Columns, schema: pa.Schema, name: str) -> None:
    """Raises WordError unless `schema` has the `columns`, with types that can hold their fields."""
    wanted = (
        ("image", columns.image, _is_image, "images (bytes, or a struct with `bytes` and `path`)"),
        ("caption", columns.caption, _is_text, "texts"),
        ("category", columns.category, _is_category, "whole numbers or strings"),
    )
    for argument, column, fits, what in wanted:
        if column is None:
            continue
        if column not in schema.names:
            raise WordError(
                f"`{name}` has no column `{column}`",
                argument=argument,
                help="; ".join(help_for(column, schema.names, otherwise=f"it has {', '.join(schema.names)}")),
            )
        type_ = schema.field(column).type
        if not fits(type_):
            raise WordError(f"column `{column}` of `{name}` has {type_}, not {what}", argument=argument)


def read_labels(files: list[Place], schema: pa.Schema, column: str, known: tuple[str, ...] | None) -> Labels:
    """Reads the category column of all files. `known` are the training names when this is the test split.

    Names come from the Hugging Face metadata of the schema; without it, strings name themselves in sorted order, and
    whole numbers are their own names. Raises WordError at `category`, or at `test` for categories that training lacks.
    """
    values = pa.chunked_array([chunk for place in files for chunk in _column(place, column).chunks])
    if values.null_count:
        raise WordError(
            f"column `{column}` is null in {values.null_count} of {len(values)} rows",
            argument="category",
            help="rows without a category must be left out",
        )
    if _is_text(values.type):
        encoded = values.combine_chunks().dictionary_encode()
        found = [str(name) for name in encoded.dictionary.to_pylist()]
        names = tuple(sorted(found))
        places = {name: place for place, name in enumerate(names)}
        indices = np.array([places[name] for name in found], dtype=np.int64)[encoded.indices.to_numpy()]
    else:
        indices = values.to_numpy().astype(np.int64)
        names = _class_names(schema, column) or tuple(str(index) for index in range(int(indices.max()) + 1))
        if indices.min() < 0 or indices.max() >= len(names):
            raise WordError(
                f"column `{column}` holds {indices.min()} to {indices.max()}, but there are {len(names)} categories",
                argument="category",
                help="categories count from 0; rows without one must be left out",
            )
    return Labels(indices, names) if known is None else _renumbered(Labels(indices, names), known)


def _column(place: Place, column: str) -> pa.ChunkedArray:
    with place.open() as file:  # parts of it: a remote file is not fetched for one column
        return pq.read_table(file, columns=[column], use_threads=False).column(column)


def _renumbered(labels: Labels, known: tuple[str, ...]) -> Labels:
    """The same rows, numbered as in training."""
    places = {name: index for index, name in enumerate(known)}
    used = sorted({labels.names[index] for index in np.unique(labels.indices)})
    for name in used:
        if name not in places:
            raise WordError(
                f"test category `{name}` is not one of the training categories",
                argument="test",
                help="; ".join(help_for(name, known)) or None,
            )
    table = np.array([places.get(name, -1) for name in labels.names], dtype=np.int64)
    return Labels(table[labels.indices], known)


def _class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The names of a `ClassLabel` feature, empty when the files were not written by Hugging Face datasets."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    written: Any = json.loads(metadata.get(b"huggingface", b"{}"))
    features: dict[str, Any] = written.get("info", {}).get("features", {})
    return tuple(str(name) for name in features.get(column, {}).get("names", ()))


def _is_bytes(type_: pa.DataType) -> bool:
    return pa.types.is_binary(type_) or pa.types.is_large_binary(type_)


def _is_image(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.StructType):
        names = [type_.field(place).name for place in range(type_.num_fields)]
        return {"bytes", "path"} <= set(names) and _is_bytes(type_.field(names.index("bytes")).type)
    return _is_bytes(type_)


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)


def _is_category(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or _is_text(type_)
