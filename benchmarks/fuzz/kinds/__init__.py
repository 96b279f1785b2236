"""The kinds of input, by name."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.fuzz.kind import Kind
from benchmarks.fuzz.kinds.caches import Caches
from benchmarks.fuzz.kinds.images import Images
from benchmarks.fuzz.kinds.manifests import Manifests
from benchmarks.fuzz.kinds.parquet import ParquetFiles
from benchmarks.fuzz.kinds.recipes import Recipes
from benchmarks.fuzz.kinds.records import Records
from benchmarks.fuzz.kinds.shards import Shards

KINDS: Mapping[str, type[Kind]] = {
    kind.name: kind for kind in (Recipes, Shards, ParquetFiles, Images, Manifests, Records, Caches)
}
