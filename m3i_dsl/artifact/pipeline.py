"""The artifact of a recipe of stages: a whole artifact for each stage, and `pipeline.json`.

    pipeline.json            the stages in order with their fingerprints, and what each hands over to which
    stages/1-pixels/         exactly the artifact of a recipe of one training
    stages/2-labels/

Takes: the contents of the stages' artifacts, in order. Gives: their folder, and it read back. Guarantees: as for one
artifact, the same contents give the same bytes, the folder appears as a whole, and a change is noticed. The fingerprint
of a stage covers those of the stages before it: a change in the second leaves the first valid, and not the third.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from m3i_dsl.artifact.copy import moved_files
from m3i_dsl.artifact.faults import COMPILE_AGAIN, called, fault
from m3i_dsl.artifact.fingerprint import sha256
from m3i_dsl.artifact.integrity import read_manifest, schema_version
from m3i_dsl.artifact.lock import canonical_json
from m3i_dsl.artifact.manifest import PIPELINE, SCHEMA_VERSION, STAGES, Manifest, Model
from m3i_dsl.artifact.pointer import TARGET, set_latest
from m3i_dsl.artifact.publish import publish, recover
from m3i_dsl.artifact.write import ArtifactContents, files_of, refuse_foreign
from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.semantics.pipeline import folder_name


class StageRecord(Model):
    """One stage. `fingerprint` covers its own artifact and the stages before it."""

    name: str
    fingerprint: str


class EdgeRecord(Model):
    """Encoder `into` of stage `to` starts from `encoder` as stage `source` left it: `parameters` and their shapes."""

    encoder: str
    source: str
    into: str
    to: str
    parameters: dict[str, tuple[int, ...]]


class PipelineManifest(Model):
    """The content of `pipeline.json`. `checksum` covers everything else in it."""

    schema_version: int = SCHEMA_VERSION
    name: str
    stages: tuple[StageRecord, ...]
    edges: tuple[EdgeRecord, ...]
    checksum: str = ""

    @property
    def fingerprint(self) -> str:
        """That of the whole: of the last stage."""
        return self.stages[-1].fingerprint

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    def sealed(self) -> PipelineManifest:
        """This manifest with the checksum of its other fields."""
        return self.model_copy(update={"checksum": self._sum()})

    def is_intact(self) -> bool:
        """Whether the checksum is that of the other fields."""
        return self.checksum == self._sum()

    def text(self) -> str:
        """The content of `pipeline.json`."""
        return canonical_json(self)

    def edges_to(self, stage: str) -> tuple[EdgeRecord, ...]:
        """What a stage starts from."""
        return tuple(edge for edge in self.edges if edge.to == stage)

    def _sum(self) -> str:
        return sha256(canonical_json(self.model_copy(update={"checksum": ""})))


@dataclass(frozen=True, slots=True)
class PipelineArtifact:
    """An artifact of stages, read and compared with the manifests of its stages."""

    folder: Path
    manifest: PipelineManifest

    def stage_folder(self, stage: str) -> Path:
        """The artifact of one stage."""
        return stage_folder(self.folder, self.manifest.names.index(stage), stage)


def is_pipeline(folder: Path) -> bool:
    """Whether an artifact is one of stages."""
    return (folder / PIPELINE).is_file()


def stage_folder(folder: Path, place: int, stage: str) -> Path:
    """Where an artifact or a run of stages has the `place`-th of them, counted from 0."""
    return folder / STAGES / folder_name(place, stage)


def chained(fingerprints: Iterable[str]) -> tuple[str, ...]:
    """Fingerprints of the artifacts of stages, in order, to those of the stages: each covers those before it."""
    found: list[str] = []
    for own in fingerprints:
        found.append(sha256(f"{found[-1]}\n{own}\n") if found else own)
    return tuple(found)


def write_pipeline(
    folder: Path,
    contents: Sequence[tuple[str, ArtifactContents]],
    edges: Sequence[EdgeRecord],
    *,
    target: Path = TARGET,
) -> tuple[PipelineManifest, tuple[Manifest, ...]]:
    """Writes the stages, (name, contents) in order, to `folder` and makes it the latest of `target`.

    Raises RecipeError (M3I0608) when `folder` exists and is not an artifact's; OSError when the disk refuses.
    """
    recover(folder)
    refuse_foreign(folder)
    files: dict[str, bytes] = {}
    manifests: list[Manifest] = []
    for place, (name, content) in enumerate(contents):
        inner = stage_folder(Path(), place, name)
        own, manifest = files_of(folder / inner, content)
        files |= {(inner / file).as_posix(): text for file, text in own.items()}
        manifests.append(manifest)
    fingerprints = chained(manifest.fingerprint for manifest in manifests)
    records = tuple(
        StageRecord(name=name, fingerprint=fingerprint)
        for (name, _), fingerprint in zip(contents, fingerprints, strict=True)
    )
    pipeline = PipelineManifest(name=contents[0][1].name, stages=records, edges=tuple(edges)).sealed()
    publish(folder, {**files, PIPELINE: pipeline.text().encode()})
    set_latest(folder, target)
    return pipeline, tuple(manifests)


def load_pipeline(folder: Path) -> PipelineArtifact:
    """Reads `pipeline.json` and compares it with the manifests of the stages, whose files `load` checks.

    Raises RecipeError: M3I0601 no artifact, M3I0602 damaged, M3I0609 written in another schema.
    """
    recover(folder)
    path = folder / PIPELINE
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise _refused("M3I0601", f"`{folder}` is no artifact of stages: it has no `{PIPELINE}`", path) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise _refused("M3I0602", f"`{path}` cannot be read: {problem}", path) from None
    version = schema_version(text)
    if version is not None and version != SCHEMA_VERSION:
        what = f"`{path}` is written in schema {version}, this m3ic reads schema {SCHEMA_VERSION}"
        raise _refused("M3I0609", what, path, text, '"schema_version"')
    try:
        manifest = PipelineManifest.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        what = f"`{path}` is not the manifest of stages: {first['msg'].lower().rstrip('.')}"
        raise _refused("M3I0602", what, path, text) from None
    if not manifest.is_intact() or not manifest.stages:
        raise _refused("M3I0602", f"`{path}` was changed after it was written", path, text, '"checksum"')
    artifact = PipelineArtifact(folder, manifest)
    found = chained(read_manifest(artifact.stage_folder(name))[0].fingerprint for name in manifest.names)
    for record, fingerprint in zip(manifest.stages, found, strict=True):
        if record.fingerprint != fingerprint:
            what = f"artifact `{called(folder)}` is damaged: stage `{record.name}`, or one before it, is another one"
            raise _refused("M3I0602", what, path, text, f'"{record.fingerprint}"')
    return artifact


def copy_pipeline(folder: Path, to: Path) -> None:
    """As `copy_artifact`, of an artifact of stages. Raises RecipeError and OSError."""
    artifact = load_pipeline(folder)
    files = {PIPELINE: artifact.manifest.text().encode()}
    for place, name in enumerate(artifact.manifest.names):
        inner = stage_folder(Path(), place, name)
        moved = moved_files(folder / inner, to / inner)
        files |= {(inner / file).as_posix(): content for file, content in moved.items()}
    publish(to, files)


def _refused(code: str, message: str, path: Path, text: str = "", at: str | None = None) -> RecipeError:
    found: Diagnostic = fault(code, message, str(path), text=text, at=at, helps=(COMPILE_AGAIN,))
    return RecipeError([found])
