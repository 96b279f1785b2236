"""The columns of tables: are they there, do they hold what a field needs, and which categories are there.

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

from m3i_dsl.data.readers.places import StoragePlace
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import Storage, WordError

MOST_CATEGORIES = 10**6

CATEGORIES = "whole numbers, strings or truth values"
"""What a message calls the values of a category column."""

DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for a file that is damaged; the last one for names and texts."""


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
        ("caption", columns.caption, _is_caption, "texts, or lists of texts"),
        ("category", columns.category, is_category, CATEGORIES),
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


def read_labels(files: list[StoragePlace], schema: pa.Schema, column: str, known: Storage | None) -> Labels:
    """Reads the category column of all files, whose names come from the Hugging Face metadata of the schema.

    As `labels_in` otherwise.
    """
    values = pa.chunked_array([chunk for place in files for chunk in _column(place, column).chunks])
    return labels_in(values, _class_names(schema, column), column, known)


def labels_in(values: pa.ChunkedArray, class_names: tuple[str, ...], column: str, known: Storage | None) -> Labels:
    """The labels of all rows of a column. `known` are the training categories when this is the test split.

    Numbers count in `class_names`. Without these the values that occur are the categories, in their order, and are
    their own names. Raises WordError at `category`, or at `test` for categories that training lacks.
    """
    if values.null_count:
        raise WordError(
            f"column `{column}` is null in {values.null_count} of {len(values)} rows",
            argument="category",
            help="rows without a category must be left out",
        )
    if isinstance(values.type, pa.DictionaryType):
        values = values.cast(values.type.value_type)
    if len(values) and pa.types.is_floating(values.type):
        values = _whole(values, column)
    encoded = values.combine_chunks().dictionary_encode()
    try:
        found = [_name(value) if isinstance(value, bool) else value for value in encoded.dictionary.to_pylist()]
    except UnicodeDecodeError as error:
        raise WordError(f"column `{column}` holds what is no text: {error}", argument="category") from error
    if _is_text(values.type) or pa.types.is_boolean(values.type):
        class_names = ()
    numbers = [value for value in found if isinstance(value, int)]
    if numbers and (min(numbers) < 0 or (class_names and max(numbers) >= len(class_names))):
        there = f", but there are {len(class_names)} categories" if class_names else ""
        raise WordError(
            f"column `{column}` holds {min(numbers)} to {max(numbers)}{there}",
            argument="category",
            help="categories count from 0; rows without one must be left out",
        )
    if class_names:
        names, places = class_names, {number: number for number in found}
    else:
        if len(found) > MOST_CATEGORIES:
            raise WordError(f"column `{column}` has {len(found)} values: it is no category", argument="category")
        names = tuple(str(value) for value in sorted(found))
        places = {value: place for place, value in enumerate(sorted(found))}
    table = np.array([places[value] for value in found], dtype=np.int64)
    labels = Labels(table[encoded.indices.to_numpy(zero_copy_only=False)], names)
    return labels if known is None else _renumbered(labels, known.categories)


def _name(value: bool) -> str:
    return str(value).lower()


def _whole(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    """Categories that some program has written as floating-point numbers."""
    numbers = values.to_numpy()
    odd = ~(np.isfinite(numbers) & (np.abs(numbers) < 2.0**53) & (numbers == np.rint(numbers)))
    if odd.any():
        raise WordError(
            f"column `{column}` holds {numbers[np.argmax(odd)]}, which is no whole number", argument="category"
        )
    return pa.chunked_array([pa.array(numbers.astype(np.int64))])


def _column(place: StoragePlace, column: str) -> pa.ChunkedArray:
    try:
        with place.open() as file:  # parts of it: a remote file is not fetched for one column
            table = pq.read_table(file, columns=[column], use_threads=False, page_checksum_verification=True)
            return table.column(column)
    except DAMAGED as error:
        raise WordError(f"column `{column}` of `{place.name}` cannot be read: {error}", argument="category") from error


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
    try:
        found: Any = json.loads(metadata.get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return ()
    for key in ("info", "features", column, "names"):
        found = found.get(key) if isinstance(found, dict) else None
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _is_bytes(type_: pa.DataType) -> bool:
    return pa.types.is_binary(type_) or pa.types.is_large_binary(type_)


def _is_image(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.StructType):
        names = [type_.field(place).name for place in range(type_.num_fields)]
        return {"bytes", "path"} <= set(names) and _is_bytes(type_.field(names.index("bytes")).type)
    return _is_bytes(type_)


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)


def _values(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if isinstance(type_, pa.DictionaryType) else type_


def _is_caption(type_: pa.DataType) -> bool:
    lists = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return _is_text(_values(type_.value_type if lists else type_))


def is_category(type_: pa.DataType) -> bool:
    """Whether a column of it can hold categories."""
    found = _values(type_)
    is_number = pa.types.is_integer(found) or pa.types.is_floating(found)
    return is_number or pa.types.is_boolean(found) or _is_text(found)
