"""The categories of data: those of a mixture are told apart by their names.

Takes: data, and the categories of each source as they were found. Gives: the categories of the whole, and the place of
each source's own among them. Guarantees: a name that two sources have is one category; the order is that of the
sources, so a mixture of sources with one list of categories has that list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m3i_dsl.semantics.program import AnyData


def categories_of(data: AnyData, found: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names in label order. `found` is by source; one that was not opened has none."""
    return tuple(dict.fromkeys(name for source in data.sources for name in found.get(source.name, ())))


def labels_in(data: AnyData, source: str, found: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
    """The label in `data` of each category of one source, in the order of its own labels."""
    places = {name: label for label, name in enumerate(categories_of(data, found))}
    return tuple(places[name] for name in found[source])
