"""`manifest.json`: what an artifact is, what it holds and what it was made from.

Takes: nothing. Gives: the pydantic models of the manifest. Guarantees: unknown or mistyped keys are refused; the text
is canonical; `checksum` covers everything else in the manifest, so that a change to it is noticed like one to any other
file. A reader needs this module only, not the compiler.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from m3i_dsl.artifact.fingerprint import sha256
from m3i_dsl.artifact.lock import canonical_json

SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
RECIPE = "recipe.canonical.m3i"
IR = "recipe.ir"
GRAPH = "graph.txt"
LOCK = "m3i.lock"
PARAMETERS = "parameters.txt"
PLAN = "plan.json"

PIPELINE = "pipeline.json"
"""What an artifact of stages has in place of a manifest; each stage has a whole artifact in a folder of `STAGES`."""
STAGES = "stages"

COPY = "artifact"
"""The folder that a run keeps its artifact in."""

REQUIRED_FILES = (RECIPE, IR, GRAPH, LOCK, PARAMETERS)
"""What every artifact has besides its manifest."""

KNOWN_FILES = (MANIFEST, *REQUIRED_FILES, PLAN)
"""All that may be in an artifact's folder. A folder with anything else is not one, and is never replaced."""


class Model(BaseModel):
    """Base of everything in the manifest."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileRecord(Model):
    """A file of the artifact: sha256 in hex and size in bytes."""

    sha256: str
    size: int


class TargetRow(Model):
    """One target in the columns of the paper's instantiation table, each cell in recipe words."""

    objective: str
    target: str
    input_data: str
    target_data: str
    input_representation: str
    target_representation: str
    regularization: str
    distribution: str


class EncoderCalls(Model):
    """How often encoders run in a step, before and after calls on the same input were shared."""

    before: int
    after: int


class ParameterCounts(Model):
    """Numbers of scalar parameters."""

    trained: int
    averaged: int
    frozen: int


class DiagnosticRecord(Model):
    """A warning or remark that the compilation gave. `place` is `file:line:column`, file as in `Manifest.sources`."""

    code: str
    severity: Literal["warning", "info"]
    message: str
    place: str


class Summary(Model):
    """What a person wants to know of a compiled program before training it."""

    targets: tuple[TargetRow, ...]
    encoder_calls: EncoderCalls
    parameters: ParameterCounts


class Manifest(Model):
    """The whole manifest.

    `source` is the recipe that was compiled and `sources` the sha256 of it and of every file that it uses, by path
    relative to the artifact's folder; both are empty for a recipe from standard input. `settings` are the values given
    by `--set`, `passes` the names of the passes that its graph went through.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    fingerprint: str
    versions: dict[str, str]
    recipe_hash: str
    ir_hash: str
    source: str | None
    sources: dict[str, str]
    settings: dict[str, str]
    passes: tuple[str, ...] = ()
    files: dict[str, FileRecord]
    summary: Summary
    diagnostics: tuple[DiagnosticRecord, ...]
    checksum: str = ""

    def sealed(self) -> Manifest:
        """This manifest with the checksum of its other fields."""
        return self.model_copy(update={"checksum": self._sum()})

    def is_intact(self) -> bool:
        """Whether the checksum is that of the other fields."""
        return self.checksum == self._sum()

    def text(self) -> str:
        """The content of `manifest.json`."""
        return canonical_json(self)

    def _sum(self) -> str:
        return sha256(canonical_json(self.model_copy(update={"checksum": ""})))
