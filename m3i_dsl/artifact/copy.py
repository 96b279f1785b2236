"""Copying an artifact into a run.

Takes: an artifact's folder and where its copy goes. Gives: an artifact of the same fingerprint. Guarantees: its paths
to the recipe and to the files that it uses, which are relative to the folder, lead to the same files from the new
place.
"""

from __future__ import annotations

import os
from pathlib import Path

from m3i_dsl.artifact.integrity import read_files, read_manifest
from m3i_dsl.artifact.manifest import MANIFEST
from m3i_dsl.artifact.publish import publish


def copy_artifact(folder: Path, to: Path) -> None:
    """Raises RecipeError (M3I0601, M3I0602) when `folder` holds no whole artifact, OSError when the disk refuses."""
    publish(to, moved_files(folder, to))


def moved_files(folder: Path, to: Path) -> dict[str, bytes]:
    """The files of the artifact in `folder` as they are in a folder `to`. Raises RecipeError."""
    manifest, manifest_text = read_manifest(folder)
    texts = read_files(folder, manifest, manifest_text)

    def moved(path: str) -> str:
        return Path(os.path.relpath((folder / path).resolve(), to.resolve())).as_posix()

    def moved_place(place: str) -> str:
        file, line, column = place.rsplit(":", 2)
        return f"{moved(file)}:{line}:{column}" if file in manifest.sources else place

    relocated = manifest.model_copy(
        update={
            "source": None if manifest.source is None else moved(manifest.source),
            "sources": {moved(path): sha256 for path, sha256 in manifest.sources.items()},
            "diagnostics": tuple(
                record.model_copy(update={"place": moved_place(record.place)}) for record in manifest.diagnostics
            ),
        }
    )
    files = {name: text.encode() for name, text in texts.items()}
    return {**files, MANIFEST: relocated.sealed().text().encode()}
