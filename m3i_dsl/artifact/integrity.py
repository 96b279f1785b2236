"""Whether an artifact's folder is, byte for byte, what was written.

Takes: the folder. Gives: the manifest and the texts of its files. Guarantees: a missing, changed or unreadable file is
named (M3I0601, M3I0602, M3I0609); nothing in the folder is executed or unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from m3i_dsl.artifact.faults import COMPILE_AGAIN, called, fault
from m3i_dsl.artifact.fingerprint import fingerprint, sha256
from m3i_dsl.artifact.lock import Lock
from m3i_dsl.artifact.manifest import (
    IR,
    LOCK,
    MANIFEST,
    PARAMETERS,
    RECIPE,
    REQUIRED_FILES,
    SCHEMA_VERSION,
    Manifest,
)
from m3i_dsl.diagnostics import Diagnostic, RecipeError


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest and its text."""
    path = folder / MANIFEST
    helps = (COMPILE_AGAIN,)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise RecipeError(
            [
                fault(
                    "M3I0601", f"`{folder}` is no artifact: it {what}", str(folder), helps=("run `m3ic compile` first",)
                )
            ]
        )
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise RecipeError(
            [fault("M3I0601", f"`{folder}` is no artifact: it has no `{MANIFEST}`", str(path), helps=helps)]
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise RecipeError([fault("M3I0602", f"`{path}` cannot be read: {problem}", str(path), helps=helps)]) from None
    version = schema_version(text)
    if version is not None and version != SCHEMA_VERSION:
        raise RecipeError(
            [
                fault(
                    "M3I0609",
                    f"`{path}` is written in schema {version}, this m3ic reads schema {SCHEMA_VERSION}",
                    str(path),
                    text=text,
                    at='"schema_version"',
                    helps=(f"{COMPILE_AGAIN}, or use the m3ic that wrote it",),
                )
            ]
        )
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as problem:
        raise RecipeError([_unreadable_manifest(path, text, problem)]) from None
    if not manifest.is_intact():
        raise RecipeError(
            [
                fault(
                    "M3I0602",
                    f"`{path}` was changed after it was written",
                    str(path),
                    text=text,
                    at='"checksum"',
                    label="does not fit the rest",
                    helps=helps,
                )
            ]
        )
    return manifest, text


def _unreadable_manifest(path: Path, text: str, problem: ValidationError) -> Diagnostic:
    first = problem.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return fault(
        "M3I0602",
        f"`{path}` is not a manifest: {f'`{place}`: ' if place else ''}{first['msg'].lower().rstrip('.')}",
        str(path),
        text=text,
        at=f'"{first["loc"][-1]}"' if first["loc"] else None,
        helps=(COMPILE_AGAIN,),
    )


def schema_version(text: str) -> int | None:
    """The schema that a manifest says it is written in, None when it says none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = content.get("schema_version") if isinstance(content, dict) else None
    return version if isinstance(version, int) else None


def read_files(folder: Path, manifest: Manifest, manifest_text: str) -> dict[str, str]:
    """The texts of all files that the manifest lists, or one diagnostic for each that is not as it was written."""
    texts: dict[str, str] = {}
    damage: list[Diagnostic] = []
    for name in sorted({*REQUIRED_FILES, *manifest.files}):
        record = manifest.files.get(name)
        path = folder / name
        if record is None or Path(name).name != name:
            problem = "the manifest does not list it" if record is None else "its name is a path"
        else:
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                problem = "it is missing"
            except OSError as refused:
                problem = f"it cannot be read: {refused}"
            else:
                if sha256(content) == record.sha256 and (text := _text(content)) is not None:
                    texts[name] = text
                    continue
                problem = "its content was changed"
                if len(content) != record.size:
                    problem += f" ({record.size} bytes when written, {len(content)} now)"
        damage.append(
            fault(
                "M3I0602",
                f"artifact `{called(folder)}` is damaged at `{name}`: {problem}",
                str(folder / MANIFEST),
                text=manifest_text,
                at=f'"{name}"',
                label="as recorded here",
                helps=(COMPILE_AGAIN,),
            )
        )
    if damage:
        raise RecipeError(damage)
    return texts


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def parse_lock(folder: Path, text: str) -> Lock:
    """The lock of its text."""
    try:
        return Lock.model_validate_json(text)
    except ValidationError as problem:
        message = problem.errors()[0]["msg"].lower().rstrip(".")
        raise RecipeError(
            [fault("M3I0602", f"`{folder / LOCK}` is not a lock: {message}", str(folder / LOCK), text=text)]
        ) from None


def check_fingerprint(folder: Path, manifest: Manifest, manifest_text: str, texts: Mapping[str, str]) -> None:
    """The hashes that are recorded beside the files are those of the files."""
    expected = fingerprint(
        recipe=texts[RECIPE],
        ir=texts[IR],
        lock=texts[LOCK],
        parameters=texts[PARAMETERS],
        versions=manifest.versions,
    )
    wrong = [
        key
        for key, recorded, actual in (
            ("fingerprint", manifest.fingerprint, expected),
            ("recipe_hash", manifest.recipe_hash, sha256(texts[RECIPE])),
            ("ir_hash", manifest.ir_hash, sha256(texts[IR])),
        )
        if recorded != actual
    ]
    if wrong:
        raise RecipeError(
            [
                fault(
                    "M3I0602",
                    f"artifact `{called(folder)}` is damaged: `{wrong[0]}` does not fit its files",
                    str(folder / MANIFEST),
                    text=manifest_text,
                    at=f'"{wrong[0]}"',
                    helps=(COMPILE_AGAIN,),
                )
            ]
        )
