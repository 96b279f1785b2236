"""A folder of image files, as an opened source.

Takes: a folder, with a sub-folder for each category or flat, and caption files beside the images if wanted. Gives:
samples in the order of their paths. Guarantees: hidden files and folders are ignored; nothing is decoded when the
folder is opened.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m3i_dsl.data.readers.files import content, existing, lack_of_machine
from m3i_dsl.data.readers.fingerprints import fingerprint
from m3i_dsl.data.readers.images import SUFFIXES
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import HeldOut, StoredImages
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, SourceDescription, Storage, WordError

CAPTION = "txt"
"""The suffix of captions."""

NAMED_SUFFIXES = 5


class FolderImages(StoredImages):
    """The images below the folder `written`, which an argument of the recipe names.

    With `category` its sub-folders are categories; `known` are those of training, and it must not have others.
    """

    def __init__(
        self,
        written: str,
        base: Path,
        argument: str,
        *,
        held_out: HeldOut,
        canvas: int | None,
        largest: int | None,
        category: bool,
        caption: bool,
        lines: bool,
        prompt: str | None,
        known: Storage | None = None,
    ) -> None:
        self.argument, self.held_out = argument, held_out
        self.caption, self.lines, self.prompt = caption, lines, prompt
        self.root = existing(written, base, argument)
        if not self.root.is_dir():
            raise WordError(f"`{written}` is a file, not a folder", argument=argument)
        found = _found(self.root, argument)
        self.paths, self.others, self.links = found.images, found.others, found.links
        if not self.paths:
            raise WordError(
                f"`{written}` has no images" + (f", but {self._others()}" if self._others() else ""),
                argument=argument,
                help=f"files ending in {', '.join(f'.{suffix}' for suffix in SUFFIXES)} are images",
            )
        self.categories = self._categories(known) if category else ()
        self.storage = Storage(canvas, self.categories, largest=largest)
        if caption:
            self._check_captions()
        self.probe(argument)

    def __len__(self) -> int:
        return len(self.paths)

    def stored(self, index: int) -> bytes:
        return content(self.root / self.paths[index])

    def name(self, index: int) -> str:
        return self.paths[index]

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self.image(index)
        if "text" in fields and self.prompt is not None:
            sample["text"] = filled(self.prompt, self._category(index))
        elif "text" in fields and self.caption:
            text = self._caption(index)
            sample["text"] = self.captions(index, "its caption", text) if self.lines else text
        if "category" in fields and self.categories:
            sample["category"] = self.storage.labels[self._category(index)]
        return sample

    def description(self) -> SourceDescription:
        """The fingerprint is over relative paths, sizes and content, of captions too."""
        names = [name for path in self.paths for name in ((path, _caption_path(path)) if self.caption else (path,))]
        return SourceDescription(len(self), self.categories, fingerprint((name, self.root / name) for name in names))

    def remarks(self) -> tuple[str, ...]:
        said: list[str] = []
        if others := self._others():
            said.append(f"has {others}")
        if self.links:
            such = f"such as `{self.links[0]}`"
            said.append(f"has {len(self.links)} links that are left out, to folders that are read already, {such}")
        return tuple(said)

    def _others(self) -> str:
        """`7 files that are no images and are left out: 4 .csv, 3 .psd`; empty for none."""
        counted = self.others - Counter({CAPTION: self.others[CAPTION]} if self.caption else {})
        named = [f"{n} {f'.{suffix}' if suffix else 'without a suffix'}" for suffix, n in counted.most_common()]
        more = " and others" if len(named) > NAMED_SUFFIXES else ""
        total = counted.total()
        what = "file that is no image and is" if total == 1 else "files that are no images and are"
        return f"{total} {what} left out: {', '.join(named[:NAMED_SUFFIXES])}{more}" if total else ""

    def _categories(self, known: Storage | None) -> tuple[str, ...]:
        flat = next((path for path in self.paths if "/" not in path), None)
        if flat is not None:
            raise WordError(
                f"`{flat}` is in no category folder",
                argument=self.argument,
                help="put each image into a sub-folder named after its category, or write `category: false`",
            )
        found = tuple(sorted({path.split("/", 1)[0] for path in self.paths}))
        for name in found:
            if known is not None and name not in known.categories:
                raise WordError(
                    f"test category `{name}` is not one of the training categories",
                    argument=self.argument,
                    help="; ".join(help_for(name, known.categories)) or None,
                )
        return found if known is None else known.categories

    def _category(self, index: int) -> str:
        return self.paths[index].split("/", 1)[0]

    def _caption(self, index: int) -> str:
        try:
            return content(self.root / _caption_path(self.paths[index])).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            lack_of_machine(error)
            raise BrokenSample(self.name(index), f"its caption cannot be read: {error}") from error

    def _check_captions(self) -> None:
        for path in self.paths:
            if not (self.root / _caption_path(path)).is_file():
                raise WordError(
                    f"`{path}` has no caption",
                    argument="caption",
                    help=f"write it to `{_caption_path(path)}`, or leave out `caption: true`",
                )


def _caption_path(path: str) -> str:
    return str(Path(path).with_suffix(".txt"))


@dataclass(slots=True)
class _Found:
    """Below a folder: relative paths of images with `/`, other files by suffix, links that were not followed."""

    images: list[str] = field(default_factory=list[str])
    others: Counter[str] = field(default_factory=Counter[str])
    links: list[str] = field(default_factory=list[str])


def _found(root: Path, argument: str) -> _Found:
    """Sorted. Each folder is read once: what is there comes before what links lead to, so that no loop of links has an
    end to be looked for. Raises WordError for a folder that cannot be read.
    """
    found = _Found()
    met: set[tuple[int, int]] = set()
    folders, linked = deque([root]), deque[Path]()
    while folders or linked:
        through_link = not folders
        folder = folders.popleft() if folders else linked.popleft()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in met:
                if through_link:
                    found.links.append(folder.relative_to(root).as_posix())
                continue
            met.add((status.st_dev, status.st_ino))
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    (linked if entry.is_symlink() else folders).append(Path(entry.path))
                elif entry.is_file():
                    suffix = Path(entry.name).suffix.lower().removeprefix(".")
                    if suffix in SUFFIXES:
                        found.images.append(Path(entry.path).relative_to(root).as_posix())
                    else:
                        found.others[suffix] += 1
        except OSError as error:
            reason = error.strerror or str(error)
            raise WordError(f"the folder `{folder}` cannot be read: {reason}", argument=argument) from error
    found.images.sort()
    return found
