"""The compiled artifact: a folder of plain text that a run starts from."""

from m3i_dsl.artifact.fingerprint import ParameterRecord
from m3i_dsl.artifact.load import Artifact, load
from m3i_dsl.artifact.lock import DataLock, Lock
from m3i_dsl.artifact.manifest import (
    EncoderCalls,
    Manifest,
    ParameterCounts,
    Summary,
    TargetRow,
)
from m3i_dsl.artifact.pointer import latest, note_failure, set_latest
from m3i_dsl.artifact.write import ArtifactContents, write

__all__ = [
    "Artifact",
    "ArtifactContents",
    "DataLock",
    "EncoderCalls",
    "Lock",
    "Manifest",
    "ParameterCounts",
    "ParameterRecord",
    "Summary",
    "TargetRow",
    "latest",
    "load",
    "note_failure",
    "set_latest",
    "write",
]
