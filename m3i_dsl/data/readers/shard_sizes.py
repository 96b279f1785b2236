"""How many samples a shard has, found without keeping the shard.

Takes: the place of a tar shard. Gives: its number of samples, for the file of sizes that training from a store needs.
Guarantees: a shard is read at most once from its start to its end, and not at all beside the statistics that
img2dataset leaves; nothing is written to the cache but the indexes of local shards.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from m3i_dsl.data.readers.places import StoragePlace
from m3i_dsl.data.readers.tar_index import index_of, samples_in
from m3i_dsl.data.readers.tar_members import DamagedShard

STATISTICS = "_stats.json"
"""What img2dataset writes beside `00000.tar` is `00000_stats.json`; `successes` are the samples that it stored."""


def size_of_shard(place: StoragePlace, stopped: Callable[[], bool] = bool) -> int:
    """The number of samples. Raises DamagedShard, OSError, and Stopped when `stopped` says so while it reads."""
    told = _told(place)
    if told is not None:
        return told
    if not place.remote:
        index = index_of(place.local())
        if index.damage is not None:
            raise DamagedShard(index.damage)
        return len(index)
    with place.open() as file:
        return samples_in(file, place.size(), stopped)


def _told(place: StoragePlace) -> int | None:
    text = place.beside(place.name.removesuffix(".tar") + STATISTICS).text()
    try:
        count = json.loads(text)["successes"] if text is not None else None
    except (ValueError, KeyError, TypeError):
        return None  # something else of that name
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
