"""Whether what an artifact was compiled from is still the same.

Takes: a whole artifact's manifest and texts, and the recipe files, versions, data and program of today. Gives: one
diagnostic for each thing that changed. Guarantees: what is there is compared; what is not is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from m3i_dsl.artifact.faults import COMPILE_AGAIN, called, fault
from m3i_dsl.artifact.fingerprint import NOT_INSTALLED, ParameterRecord, current_versions, parameters_text, source_hash
from m3i_dsl.artifact.lock import Lock
from m3i_dsl.artifact.manifest import IR, LOCK, MANIFEST, PARAMETERS, Manifest
from m3i_dsl.diagnostics import Diagnostic, Severity
from m3i_dsl.ir.text import without_places

OTHER_DATA = "M3I0605"
_HELP = f"{COMPILE_AGAIN}, or train it as it is with `--allow-stale`"


def compare_sources(folder: Path, manifest: Manifest, manifest_text: str) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """(recipe files that changed, remarks on those that are not there and so cannot be compared)."""
    changed: list[Diagnostic] = []
    absent: list[Diagnostic] = []
    for name, recorded in sorted(manifest.sources.items()):
        path = Path(os.path.normpath(folder / name))
        try:
            now = source_hash(path.read_bytes().decode(errors="replace"))
        except OSError:
            absent.append(
                fault(
                    "M3I0603",
                    f"`{path}`, from which artifact `{called(folder)}` was made, cannot be read and is not compared",
                    str(folder / MANIFEST),
                    text=manifest_text,
                    at=f'"{name}"',
                    severity=Severity.INFO,
                )
            )
            continue
        if now != recorded:
            changed.append(
                fault(
                    "M3I0603",
                    f"artifact `{called(folder)}` is stale: `{path}` changed after it was compiled",
                    str(folder / MANIFEST),
                    text=manifest_text,
                    at=f'"{name}"',
                    label="as recorded here",
                    helps=(_HELP,),
                )
            )
    return changed, absent


def compare_versions(folder: Path, manifest: Manifest, manifest_text: str) -> list[Diagnostic]:
    """M3I0604 for each version that is not the one the artifact was compiled with."""
    now = current_versions(packages_in(manifest))
    return [
        fault(
            "M3I0604",
            f"artifact `{called(folder)}` is stale: compiled with {name} {manifest.versions.get(name, 'unknown')}, "
            f"this is {name} {now.get(name, 'unknown')}",
            str(folder / MANIFEST),
            text=manifest_text,
            at=f'"{name}": "{manifest.versions[name]}"' if name in manifest.versions else '"versions"',
            helps=(_HELP,),
        )
        for name in sorted({*now, *manifest.versions})
        if now.get(name) != manifest.versions.get(name)
    ]


def missing_packages(folder: Path, manifest: Manifest, manifest_text: str) -> list[Diagnostic]:
    """M3I0610 for each package whose words the artifact's recipe has and that is not installed."""
    now = current_versions(packages_in(manifest))
    return [
        fault(
            "M3I0610",
            f"artifact `{called(folder)}` has words of `{name}` {manifest.versions[name]}, which is not installed",
            str(folder / MANIFEST),
            text=manifest_text,
            at=f'"{name}": "{manifest.versions[name]}"',
            helps=(f"install it: `pip install {name}=={manifest.versions[name]}`",),
        )
        for name in packages_in(manifest)
        if now[name] == NOT_INSTALLED
    ]


def packages_in(manifest: Manifest) -> list[str]:
    """The packages whose words an artifact's recipe has."""
    return sorted(manifest.versions.keys() - current_versions().keys())


def compare_lock(folder: Path, locked: Lock, current: Lock) -> list[Diagnostic]:
    """M3I0605 for each data source and file that is not what the artifact was compiled against."""
    return [
        fault(
            OTHER_DATA,
            f"artifact `{called(folder)}` is stale: {difference.text}",
            str(folder / LOCK),
            text=locked.text(),
            at=f'"{difference.name}"',
            label="as recorded here",
            helps=(f"bring the data back, {_HELP}",),
        )
        for difference in locked.differences(current)
    ]


def compare_program(
    folder: Path, stored_ir: str, stored_parameters: str, ir: str, parameters: Iterable[ParameterRecord]
) -> list[Diagnostic]:
    """M3I0606 where the recipe, compiled now, gives another IR or other parameters, with the first line that differs.

    Places are not compared: the stored IR has those of the recipe as its author wrote it, `ir` those of its canonical
    text.
    """
    found: list[Diagnostic] = []
    for what, name, stored, now in (
        ("operations", IR, without_places(stored_ir), without_places(ir)),
        ("parameters", PARAMETERS, stored_parameters, parameters_text(parameters)),
    ):
        difference = _first_difference(stored, now)
        if difference is None:
            continue
        old, new = difference
        found.append(
            fault(
                "M3I0606",
                f"artifact `{called(folder)}` is stale: its recipe now compiles to other {what}",
                str(folder / name),
                text=stored,
                at=old or None,
                label="first difference",
                notes=(f"when compiled: {old or '(nothing)'}", f"now: {new or '(nothing)'}"),
                helps=(_HELP,),
            )
        )
    return found


def _first_difference(stored: str, now: str) -> tuple[str, str] | None:
    """The first pair of lines that differ; an absent line is empty. None when the texts are equal."""
    if stored == now:
        return None
    old, new = stored.splitlines(), now.splitlines()
    for index in range(max(len(old), len(new))):
        pair = (old[index] if index < len(old) else "", new[index] if index < len(new) else "")
        if pair[0] != pair[1]:
            return pair
    return "", ""  # they differ in line endings only
