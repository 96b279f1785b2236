"""All words, by kind and name: those of m3ic, and those of installed packages.

Takes: a kind and a name. Gives: the word class, or the names that would have been legal there. Guarantees: a kind's
folder is imported only when a word of that kind is looked up, and the module of another package's word only when that
word is; a word that cannot be used raises UnusableWord, which names the package, and hinders no other word.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import get_args

from m3i_dsl.vocabulary.packages import Entry, Package, entries
from m3i_dsl.vocabulary.word import Kind, Word

KINDS: tuple[Kind, ...] = get_args(Kind)

WRITTEN: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "modality")
"""The kinds whose words stand in recipes. What a field is, its source says."""

_FOLDERS: dict[Kind, str] = {"mix": "mixes", "modality": "modalities"}

COLLIDES = "M3I0131"
NOT_IMPORTED = "M3I0132"
MALFORMED = "M3I0133"


class UnusableWord(Exception):
    """A word that is installed and cannot be used: the `code` of why, and the packages whose fault it is."""

    def __init__(self, code: str, message: str, packages: tuple[Package, ...], notes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.packages = packages
        self.notes = notes

    @property
    def help(self) -> str:
        package, *others = self.packages
        if self.code == COLLIDES:
            one = "one of the packages" if others else f"`{package.name}`, or give its word another name"
            return f"remove {one}: a recipe could mean either"
        return f"ask the authors of `{package.name}`, or install another version of it"


class Words(Mapping[str, type[Word]]):
    """The words of one kind by name: m3ic's in the order in which its folder lists them, then those of packages.

    Looking one up raises UnusableWord when it is installed and cannot be used.
    """

    def __init__(self, kind: Kind, own: Mapping[str, type[Word]], others: Mapping[str, tuple[Entry, ...]]) -> None:
        self._kind: Kind = kind
        self._own = own
        self._others = others
        self._loaded: dict[str, type[Word]] = {}

    def __len__(self) -> int:
        return len(self._own.keys() | self._others.keys())

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in self._others if name not in self._own)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._others

    def __getitem__(self, name: str) -> type[Word]:
        if name not in self._others:
            return self._own[name]
        entry, *more = self._others[name]
        if more or name in self._own:
            packages = tuple(each.package for each in (entry, *more))
            owners = [*(["m3ic"] if name in self._own else []), *map(str, packages)]
            message = f"{self._kind} `{name}` is a word of {', '.join(owners[:-1])} and of {owners[-1]}"
            raise UnusableWord(COLLIDES, message, packages)
        if name not in self._loaded:
            self._loaded[name] = _load(entry, self._kind)
        return self._loaded[name]

    def package(self, name: str) -> Package | None:
        """The package that a word comes from; None for m3ic's own."""
        return None if name in self._own else self._others[name][0].package

    def usable(self) -> Iterator[tuple[str, type[Word]]]:
        """The words that can be used, by name; packages are imported for it."""
        for name in self:
            try:
                yield name, self[name]
            except UnusableWord:
                continue


def folder_of(kind: Kind) -> str:
    """The folder of a kind's words."""
    return _FOLDERS.get(kind, f"{kind}s")


@functools.cache
def words(kind: Kind) -> Words:
    """The words of `kind`."""
    listed: tuple[type[Word], ...] = import_module(f"m3i_dsl.vocabulary.{folder_of(kind)}").WORDS
    others: dict[str, tuple[Entry, ...]] = {}
    for entry in entries():
        if entry.kind == kind:
            others[entry.name] = (*others.get(entry.name, ()), entry)
    return Words(kind, {word.name: word for word in listed}, others)


def misfiled(name: str) -> UnusableWord | None:
    """What is wrong with a word of this name that a package enters under a kind that there is not."""
    for entry in entries():
        if entry.kind not in KINDS and entry.name == name:
            message = f"{entry.package} enters `{name}` under `{entry.kind}`, which is no kind of word"
            return UnusableWord(MALFORMED, message, (entry.package,), (f"kinds are {', '.join(KINDS)}",))
    return None


def _load(entry: Entry, kind: Kind) -> type[Word]:
    from m3i_dsl.vocabulary.form import faults
    from m3i_dsl.vocabulary.kept import keep

    what = f"{kind} `{entry.name}` of {entry.package}"
    module, _, attribute = entry.value.partition(":")
    try:
        found = getattr(import_module(module.strip()), attribute.strip())
    except Exception as fault:  # a package may raise whatever it likes
        notes = (f"`import {entry.module}` raises {type(fault).__name__}: {fault}",)
        raise UnusableWord(NOT_IMPORTED, f"{what} cannot be imported", (entry.package,), notes) from fault
    wrong = tuple(faults(found, kind, entry.name))
    if wrong:
        raise UnusableWord(MALFORMED, f"{what} is no well-formed word: {wrong[0]}", (entry.package,), wrong[1:])
    keep(found)
    return found
