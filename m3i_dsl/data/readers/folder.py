"""A folder of image files, as an opened source.

Takes: a folder, with a sub-folder for each category or flat, and caption files beside the images if wanted. Gives:
samples in the order of their paths. Guarantees: hidden files and folders are ignored; nothing is decoded when the
folder is opened.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from m3i_dsl.data.readers.files import existing
from m3i_dsl.data.readers.prompts import filled
from m3i_dsl.data.readers.stored import HeldOut, StoredImages
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.vocabulary.kinds import BrokenSample, Sample, SourceDescription, Storage, WordError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})


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
        category: bool,
        caption: bool,
        prompt: str | None,
        known: tuple[str, ...] | None = None,
    ) -> None:
        self.argument, self.held_out = argument, held_out
        self.caption, self.prompt = caption, prompt
        self.root = existing(written, base, argument)
        if not self.root.is_dir():
            raise WordError(f"`{written}` is a file, not a folder", argument=argument)
        self.paths = _images(self.root)
        if not self.paths:
            raise WordError(
                f"`{written}` has no images",
                argument=argument,
                help=f"files ending in {', '.join(sorted(SUFFIXES))} are images",
            )
        self.categories = self._categories(known) if category else ()
        self.storage = Storage(canvas, self.categories)
        if caption:
            self._check_captions()
        self.probe(argument)

    def __len__(self) -> int:
        return len(self.paths)

    def stored(self, index: int) -> bytes:
        return (self.root / self.paths[index]).read_bytes()

    def name(self, index: int) -> str:
        return self.paths[index]

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample: dict[str, Any] = {}
        if "image" in fields:
            sample["image"] = self.image(index)
        if "text" in fields and self.prompt is not None:
            sample["text"] = filled(self.prompt, self._category(index))
        elif "text" in fields and self.caption:
            sample["text"] = self._caption(index)
        if "category" in fields and self.categories:
            sample["category"] = self.storage.labels[self._category(index)]
        return sample

    def description(self) -> SourceDescription:
        """The fingerprint is over relative paths and sizes, of captions too."""
        content = hashlib.blake2b(digest_size=16)
        for path in self.paths:
            names = [path, _caption_path(path)] if self.caption else [path]
            for name in names:
                content.update(f"{name}\0{(self.root / name).stat().st_size}\0".encode())
        return SourceDescription(len(self), self.categories, content.hexdigest())

    def _categories(self, known: tuple[str, ...] | None) -> tuple[str, ...]:
        flat = next((path for path in self.paths if "/" not in path), None)
        if flat is not None:
            raise WordError(
                f"`{flat}` is in no category folder",
                argument=self.argument,
                help="put each image into a sub-folder named after its category, or write `category: false`",
            )
        found = tuple(sorted({path.split("/", 1)[0] for path in self.paths}))
        for name in found:
            if known is not None and name not in known:
                raise WordError(
                    f"test category `{name}` is not one of the training categories",
                    argument=self.argument,
                    help="; ".join(help_for(name, known)) or None,
                )
        return known or found

    def _category(self, index: int) -> str:
        return self.paths[index].split("/", 1)[0]

    def _caption(self, index: int) -> str:
        try:
            return (self.root / _caption_path(self.paths[index])).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
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


def _images(root: Path) -> list[str]:
    """Relative paths with `/`, sorted."""
    found: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                found.append((Path(folder) / name).relative_to(root).as_posix())
    return sorted(found)
