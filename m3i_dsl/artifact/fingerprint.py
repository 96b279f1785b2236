"""The fingerprint: one hash for "the same program on the same data with the same libraries".

Takes: the canonical recipe, the IR text, the lock, the parameters and the versions. Gives: sha256 in hex, and the text
form of the parameter list. Guarantees: nothing else enters: no path, date, host or order of a dictionary. The recipe
lines in the IR are left out, so that a comment, or writing the defaults out, does not make another program.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import m3i_dsl
from m3i_dsl.ir.text import without_places


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """One parameter or buffer of the compiled module: its qualified name, shape and dtype ("float32")."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def text(self) -> str:
        """`image.blocks.0.attn.qkv.weight float32 [192, 64]`."""
        return f"{self.name} {self.dtype} {list(self.shape)}"


def parameters_text(parameters: Iterable[ParameterRecord]) -> str:
    """One line for each parameter, sorted by name."""
    return "".join(f"{record.text()}\n" for record in sorted(parameters, key=lambda record: record.name))


NOT_INSTALLED = "not installed"


def current_versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """The versions that decide what a program computes: m3ic, torch, timm and the `packages` whose words it has.

    `not installed` for one that is missing. Read from package metadata, so that torch is not imported.
    """
    return {"m3ic": m3i_dsl.__version__} | {name: _installed(name) for name in ("timm", "torch", *packages)}


def sha256(content: str | bytes) -> str:
    """sha256 in hex; text is hashed as UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def source_hash(text: str) -> str:
    """sha256 of a recipe's text, the same whatever its line endings."""
    return sha256(text.replace("\r\n", "\n").replace("\r", "\n"))


def fingerprint(*, recipe: str, ir: str, lock: str, parameters: str, versions: Mapping[str, str]) -> str:
    """sha256 over the five parts, each preceded by its name and length so that no two divisions agree."""
    digest = hashlib.sha256()
    parts = {
        "recipe": recipe,
        "ir": without_places(ir),
        "lock": lock,
        "parameters": parameters,
        "versions": "".join(f"{name} {versions[name]}\n" for name in sorted(versions)),
    }
    for name, text in parts.items():
        content = text.encode()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED
