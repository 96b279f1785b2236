"""Writing an artifact.

Takes: the texts and numbers of a compiled program. Gives: its folder and the manifest. Guarantees: the same contents
give the same bytes (no dates, hosts or absolute paths); the folder appears as a whole; a folder that holds anything but
an artifact is refused, never replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from m3i_dsl.artifact.faults import fault
from m3i_dsl.artifact.fingerprint import (
    ParameterRecord,
    current_versions,
    fingerprint,
    parameters_text,
    sha256,
    source_hash,
)
from m3i_dsl.artifact.lock import Lock
from m3i_dsl.artifact.manifest import (
    GRAPH,
    IR,
    KNOWN_FILES,
    LOCK,
    MANIFEST,
    PARAMETERS,
    PIPELINE,
    PLAN,
    RECIPE,
    STAGES,
    DiagnosticRecord,
    FileRecord,
    Manifest,
    Summary,
)
from m3i_dsl.artifact.pointer import TARGET, set_latest
from m3i_dsl.artifact.publish import publish, recover
from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.source import SourceFile


@dataclass(frozen=True, slots=True)
class ArtifactContents:
    """What the compiler knows of a program, as plain values.

    `recipe` is the canonical text, `graph` the readable listing. `sources` are the files that were read, the recipe
    itself first; one whose name is no file (standard input, a test's string) leaves no trace in the artifact.
    `packages` are those besides m3ic whose words the recipe has.
    `diagnostics` are the warnings and remarks to keep; a program with errors has no artifact.
    """

    name: str
    recipe: str
    ir: str
    graph: str
    lock: Lock
    parameters: tuple[ParameterRecord, ...]
    summary: Summary
    sources: tuple[SourceFile, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    passes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    plan: str | None = None
    packages: tuple[str, ...] = ()


def write(folder: Path, contents: ArtifactContents, *, target: Path = TARGET) -> Manifest:
    """Writes `contents` to `folder` and makes it the latest of `target`.

    Raises RecipeError (M3I0608) when `folder` exists and is not an artifact's; OSError when the disk refuses.
    """
    recover(folder)
    refuse_foreign(folder)
    files, manifest = files_of(folder, contents)
    publish(folder, files)
    set_latest(folder, target)
    return manifest


def files_of(folder: Path, contents: ArtifactContents) -> tuple[dict[str, bytes], Manifest]:
    """The files of an artifact that will stand in `folder`, by name, and their manifest."""
    texts = {
        RECIPE: contents.recipe,
        IR: contents.ir,
        GRAPH: contents.graph,
        LOCK: contents.lock.text(),
        PARAMETERS: parameters_text(contents.parameters),
    }
    if contents.plan is not None:
        texts[PLAN] = contents.plan
    files = {name: text.encode() for name, text in texts.items()}
    manifest = _manifest(folder, contents, texts, files)
    return {**files, MANIFEST: manifest.text().encode()}, manifest


def _manifest(
    folder: Path, contents: ArtifactContents, texts: Mapping[str, str], files: Mapping[str, bytes]
) -> Manifest:
    versions = current_versions(contents.packages)
    read = [source for source in contents.sources if Path(source.name).is_file()]
    main = contents.sources[0] if contents.sources else None
    return Manifest(
        name=contents.name,
        fingerprint=fingerprint(
            recipe=texts[RECIPE],
            ir=texts[IR],
            lock=texts[LOCK],
            parameters=texts[PARAMETERS],
            versions=versions,
        ),
        versions=versions,
        recipe_hash=sha256(texts[RECIPE]),
        ir_hash=sha256(texts[IR]),
        source=_relative(main.name, folder) if main is not None and main in read else None,
        sources={_relative(source.name, folder): source_hash(source.text) for source in read},
        settings=dict(contents.settings),
        passes=contents.passes,
        files={name: FileRecord(sha256=sha256(content), size=len(content)) for name, content in files.items()},
        summary=contents.summary,
        diagnostics=tuple(_record(diagnostic, folder) for diagnostic in contents.diagnostics),
    ).sealed()


def _record(diagnostic: Diagnostic, folder: Path) -> DiagnosticRecord:
    severity = diagnostic.severity.value
    if severity == "error":
        raise ValueError(f"a program with an error has no artifact: {diagnostic}")
    span = diagnostic.span
    file = _relative(span.file.name, folder) if Path(span.file.name).is_file() else span.file.name
    return DiagnosticRecord(
        code=diagnostic.code, severity=severity, message=diagnostic.message, place=f"{file}:{span.line}:{span.column}"
    )


def _is_known(path: Path, is_folder: bool) -> bool:
    """Whether an artifact, or one of stages, has such a file or folder."""
    staged = len(path.parts) > 1 and path.parts[0] == STAGES
    if is_folder:
        return path == Path(STAGES) or (staged and len(path.parts) == 2)
    return path == Path(PIPELINE) or (path.name in KNOWN_FILES and len(path.parts) == (3 if staged else 1))


def _relative(name: str, folder: Path) -> str:
    return Path(os.path.relpath(Path(name).resolve(), folder.resolve())).as_posix()


def refuse_foreign(folder: Path) -> None:
    """Replacing a folder removes what is in it, so it must hold nothing but an artifact's files. Raises RecipeError
    (M3I0608).
    """
    if folder.is_dir():
        inside = (path for path in folder.rglob("*") if not _is_known(path.relative_to(folder), path.is_dir()))
        foreign = sorted(path.relative_to(folder).as_posix() for path in inside)
        what = ", ".join(f"`{name}`" for name in foreign[:3]) + (" and more" if len(foreign) > 3 else "")
    elif folder.exists() or folder.is_symlink():
        foreign, what = [folder.name], "a file"
    else:
        return
    if foreign:
        raise RecipeError(
            [
                fault(
                    "M3I0608",
                    f"`{folder}` cannot become an artifact: it holds {what}"
                    if folder.is_dir()
                    else f"`{folder}` cannot become an artifact: it is {what}",
                    str(folder),
                    notes=("compiling replaces the folder as a whole, so whatever else it holds would be lost",),
                    helps=("name another folder with `-o`, or move the files away",),
                )
            ]
        )
