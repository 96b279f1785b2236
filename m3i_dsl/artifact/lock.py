"""`m3i.lock`: what outside the recipe a program was compiled against.

Takes: the descriptions of the data sources when they were opened, and the files (frozen weights, tokenizers) that words
read. Gives: `Lock` and its canonical text. Guarantees: the same inputs give the same text; `differences` names each
data source and file that changed, and how.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from m3i_dsl.vocabulary.kinds import SourceDescription

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class LockDifference:
    """One data source or file that changed: its name and the change in a phrase."""

    name: str
    text: str


class DataLock(BaseModel):
    """One data source as it was when the recipe was compiled."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)

    samples: int
    categories: tuple[str, ...]
    fingerprint: str

    @classmethod
    def of(cls, description: SourceDescription) -> DataLock:
        """The record of an opened source."""
        return cls(samples=description.samples, categories=description.categories, fingerprint=description.fingerprint)


class Lock(BaseModel):
    """Everything outside the recipe that the trained weights, and what is measured of them, depend on.

    `data` is keyed by the name that the recipe gives the source, and so is `held_out`, which has the held-out samples
    of those that the recipe evaluates on; `files` maps each weights or tokenizer file, as the recipe names it, to the
    sha256 of its content.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)

    data: dict[str, DataLock]
    held_out: dict[str, DataLock] = {}
    files: dict[str, str]

    def text(self) -> str:
        """Canonical JSON: sorted keys, two spaces, final newline."""
        return canonical_json(self)

    def differences(self, current: Lock) -> tuple[LockDifference, ...]:
        """What `current` has otherwise than this lock, one for each data source and file; empty if nothing."""
        return (
            *_compare("data", self.data, current.data, _describe_data_change),
            *_compare("the held-out samples of data", self.held_out, current.held_out, _describe_data_change),
            *_compare("file", self.files, current.files, lambda _old, _new: "its content changed"),
        )


def canonical_json(model: BaseModel) -> str:
    """The one text of a model: the same value always gives the same bytes."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def file_sha256(path: Path) -> str:
    """sha256 of a file's content, in hex. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compare(
    what: str,
    locked: Mapping[str, _Record],
    current: Mapping[str, _Record],
    describe: Callable[[_Record, _Record], str],
) -> list[LockDifference]:
    differences: list[LockDifference] = []
    for name in sorted(locked.keys() | current.keys()):
        if name not in current:
            differences.append(LockDifference(name, f"{what} `{name}` is no longer used"))
        elif name not in locked:
            differences.append(LockDifference(name, f"{what} `{name}` is new"))
        elif locked[name] != current[name]:
            differences.append(LockDifference(name, f"{what} `{name}`: {describe(locked[name], current[name])}"))
    return differences


def _describe_data_change(locked: DataLock, current: DataLock) -> str:
    changes: list[str] = []
    if locked.samples != current.samples:
        changes.append(f"{locked.samples} samples when compiled, {current.samples} now")
    if locked.categories != current.categories:
        removed = [name for name in locked.categories if name not in current.categories]
        added = [name for name in current.categories if name not in locked.categories]
        parts = [
            f"{verb} {', '.join(f'`{name}`' for name in names[:3])}{' and more' if len(names) > 3 else ''}"
            for verb, names in (("lost", removed), ("gained", added))
            if names
        ]
        changes.append(f"categories {' and '.join(parts)}" if parts else "categories are in another order")
    return ", ".join(changes) if changes else "the same number of samples, but other content"
