"""All words, by kind and name.

Takes: a kind and a name. Gives: the word class, or the names that would have been legal there. Guarantees: a kind's
folder is imported only when a word of that kind is looked up. Packages of users will add words here by entry point.
"""

from __future__ import annotations

import functools
from importlib import import_module
from types import MappingProxyType
from typing import get_args

from m3i_dsl.vocabulary.word import Kind, Word

KINDS: tuple[Kind, ...] = get_args(Kind)

WRITTEN: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "modality")
"""The kinds whose words stand in recipes. What a field is, its source says."""

_FOLDERS: dict[Kind, str] = {"mix": "mixes", "modality": "modalities"}


def folder_of(kind: Kind) -> str:
    """The folder of a kind's words."""
    return _FOLDERS.get(kind, f"{kind}s")


@functools.cache
def words(kind: Kind) -> MappingProxyType[str, type[Word]]:
    """The words of `kind` by name, in the order in which the folder lists them."""
    package = import_module(f"m3i_dsl.vocabulary.{folder_of(kind)}")
    listed: tuple[type[Word], ...] = package.WORDS
    return MappingProxyType({word.name: word for word in listed})
