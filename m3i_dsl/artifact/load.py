"""Reading an artifact back.

Takes: its folder. Gives: `Artifact`, the texts to rebuild the program from. Guarantees: every byte was checked against
the manifest; nothing in the folder is ever executed; an artifact that is damaged is refused, and one that is stale is
refused unless `allow_stale`, with one diagnostic for each thing that changed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from m3i_dsl.artifact.fingerprint import ParameterRecord
from m3i_dsl.artifact.integrity import check_fingerprint, parse_lock, read_files, read_manifest
from m3i_dsl.artifact.lock import Lock
from m3i_dsl.artifact.manifest import GRAPH, IR, LOCK, PARAMETERS, PLAN, RECIPE, Manifest
from m3i_dsl.artifact.publish import recover
from m3i_dsl.artifact.staleness import (
    compare_lock,
    compare_program,
    compare_sources,
    compare_versions,
    missing_packages,
)
from m3i_dsl.diagnostics import Diagnostic, RecipeError, Severity


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked artifact.

    `diagnostics` are remarks about it: what is stale under `allow_stale` (warnings), sources that are not there to be
    compared (info).
    """

    folder: Path
    manifest: Manifest
    recipe: str
    ir: str
    graph: str
    lock: Lock
    parameters: str
    plan: str | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def base(self) -> Path:
        """The folder that relative paths in the recipe start from: the recipe's own, or the current one if it came
        from standard input."""
        source = self.manifest.source
        return Path(os.path.normpath(self.folder / source)).parent if source is not None else Path()

    def verify_data(self, current: Lock, *, allow_stale: bool = False) -> Artifact:
        """This artifact if `current`, made from the data and files of today, is what it was compiled against.

        Raises RecipeError (M3I0605), one diagnostic for each difference; under `allow_stale` they are added to
        `diagnostics` as warnings.
        """
        return self._with(compare_lock(self.folder, self.lock, current), allow_stale)

    def verify_rebuilt(self, ir: str, parameters: Iterable[ParameterRecord], *, allow_stale: bool = False) -> Artifact:
        """This artifact if its recipe, compiled now, gives the same IR and the same parameters.

        Raises RecipeError (M3I0606) naming the first line that differs; `allow_stale` as in `verify_data`.
        """
        found = compare_program(self.folder, self.ir, self.parameters, ir, parameters)
        return self._with(found, allow_stale)

    def _with(self, found: list[Diagnostic], allow_stale: bool) -> Artifact:
        if found and not allow_stale:
            raise RecipeError(found)
        return dataclasses.replace(self, diagnostics=self.diagnostics + _as_warnings(found))


def load(folder: Path, *, allow_stale: bool = False) -> Artifact:
    """Reads and checks the artifact in `folder`.

    Raises RecipeError: M3I0601 no artifact, M3I0602 damaged, M3I0603 the recipe changed, M3I0604 versions changed,
    M3I0609 written in another schema, M3I0610 a package of words is missing.
    M3I0603 and M3I0604 are warnings under `allow_stale`; damage never is.
    """
    recover(folder)
    manifest, manifest_text = read_manifest(folder)
    texts = read_files(folder, manifest, manifest_text)
    lock = parse_lock(folder, texts[LOCK])
    check_fingerprint(folder, manifest, manifest_text, texts)
    missing = missing_packages(folder, manifest, manifest_text)
    if missing:
        raise RecipeError(missing)
    changed, absent = compare_sources(folder, manifest, manifest_text)
    stale = [*changed, *compare_versions(folder, manifest, manifest_text)]
    if stale and not allow_stale:
        raise RecipeError(stale)
    return Artifact(
        folder=folder,
        manifest=manifest,
        recipe=texts[RECIPE],
        ir=texts[IR],
        graph=texts[GRAPH],
        lock=lock,
        parameters=texts[PARAMETERS],
        plan=texts.get(PLAN),
        diagnostics=(*_as_warnings(stale), *absent),
    )


def _as_warnings(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(dataclasses.replace(diagnostic, severity=Severity.WARNING) for diagnostic in found)
