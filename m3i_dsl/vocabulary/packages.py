"""Words of other packages: what is installed, found without importing any of it.

A package enters each word under the entry-point group `m3ic.words`, named by kind and name:

    [project.entry-points."m3ic.words"]
    "mask.spiral" = "my_words.spiral:Spiral"

Takes: the folders of `sys.path`. Gives: the entries with the name and version of their package. Guarantees: nothing is
imported but, when there are such packages, `importlib.metadata`; that alone would double the time of `m3ic check`, so
that the folders are looked through first.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GROUP = "m3ic.words"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A distribution: what `pip install` calls it, and its version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `kind` and `name` of the word, as the package writes them, and `value`, `module:Class`."""

    kind: str
    name: str
    value: str
    package: Package

    @property
    def module(self) -> str:
        return self.value.partition(":")[0].strip()


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Every entry of every package, sorted by package."""
    found: dict[str, list[Entry]] = {}
    for folder in _folders():
        from importlib.metadata import Distribution

        distribution = Distribution.at(folder)
        package = Package(distribution.metadata["Name"], distribution.version)
        # The first on the path is the one that is imported, as for pip.
        found.setdefault(
            package.name.lower().replace("_", "-"),
            [_entry(point.name, point.value, package) for point in distribution.entry_points if point.group == GROUP],
        )
    return tuple(entry for name in sorted(found) for entry in found[name])


def _entry(written: str, value: str, package: Package) -> Entry:
    kind, _, name = written.partition(".")
    return Entry(kind, name, value, package)


def package_of(module: str) -> Package | None:
    """The package with words that a module belongs to, by its dotted name; None for every other module."""
    owned = {owner: entry.package for entry in entries() for owner in (entry.module, _parent(entry.module))}
    inside = [owner for owner in owned if module == owner or module.startswith(f"{owner}.")]
    return owned[max(inside, key=len)] if inside else None


def _parent(module: str) -> str:
    return module.rpartition(".")[0] or module


def _folders() -> Iterator[Path]:
    """The metadata folders that mention the group."""
    for place in sys.path:
        try:
            with os.scandir(place or ".") as found:
                folders = [entry.path for entry in found if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for folder in sorted(folders):
            try:
                with open(os.path.join(folder, "entry_points.txt"), "rb") as stream:
                    mentioned = GROUP.encode() in stream.read()
            except OSError:
                continue
            if mentioned:
                yield Path(folder)
