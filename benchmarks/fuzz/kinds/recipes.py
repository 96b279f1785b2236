"""Recipes: bytes, words and lines of real ones, and pieces of one in another."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from benchmarks.fuzz.kind import EQUAL, OTHER, REFUSED, Finding, Kind, internal
from benchmarks.fuzz.mutations import changed_bytes, changed_text
from m3i_dsl.cli.options import UnreadableInput, read
from m3i_dsl.diagnostics import FORMATS, RecipeError, render
from m3i_dsl.driver import Checked, check_file, resolve
from m3i_dsl.semantics.pipeline import Pipeline
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax.format import format_text

ROOT = Path(__file__).parents[3]


class Recipes(Kind):
    """What is accepted after a change means something that can be written down, read again, and is that then."""

    name = "recipes"
    what = "bytes, words and lines of the recipes and examples; pieces of one in another"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        shutil.copytree(ROOT / "recipes", folder / "recipes")
        shutil.copytree(ROOT / "examples", folder / "recipes" / "examples")
        found = sorted((folder / "recipes").rglob("*.m3i"))
        self.bases = [(path.parent, path.read_text(encoding="utf-8")) for path in found]
        self.texts = [text for _, text in self.bases]
        self.meanings: dict[int, str | None] = {}

    def case(self, chance: random.Random) -> str:
        number = chance.randrange(len(self.bases))
        folder, text = self.bases[number]
        path = folder / "changed.m3i"
        if chance.random() < 0.25:
            content = changed_bytes(chance, text.encode(), [other.encode() for other in self.texts])
        else:
            content = changed_text(chance, text, self.texts).encode(errors="surrogatepass")
        path.write_bytes(content)
        try:
            file = read(str(path))
        except UnreadableInput:
            return REFUSED
        finally:
            path.unlink()
        checked = check_file(file)
        self._shown(checked)
        if checked.pipeline is not None or chance.random() < 0.2:
            self._formatted(file, checked)
        if checked.pipeline is None:
            if not checked.diagnostics.has_errors:
                raise Finding("no program, and no error that says why")
            return REFUSED
        meaning = self._meaning(checked.pipeline)
        if number not in self.meanings:
            base = check_file(SourceFile(str(folder / "base.m3i"), text)).pipeline
            self.meanings[number] = None if base is None else resolve(base)
        return EQUAL if meaning == self.meanings[number] else OTHER

    def _shown(self, checked: Checked) -> None:
        internal([diagnostic.code for diagnostic in checked.diagnostics])
        for form in FORMATS:
            render(checked.diagnostics, form, False)
        for diagnostic in checked.diagnostics:
            span = diagnostic.span
            if not 0 <= span.start <= span.end <= len(span.file.text):
                raise Finding(f"{diagnostic.code} stands outside of its file")

    def _formatted(self, file: SourceFile, checked: Checked) -> None:
        try:
            text = format_text(file)
        except RecipeError:
            if checked.pipeline is not None:
                raise Finding("`m3ic fmt` refuses a recipe that `m3ic check` accepts") from None
            return
        again = check_file(SourceFile(file.name, text))
        if checked.pipeline is not None and (
            again.pipeline is None or resolve(again.pipeline) != resolve(checked.pipeline)
        ):
            raise Finding("`m3ic fmt` changes what a recipe means")

    def _meaning(self, pipeline: Pipeline) -> str:
        text = resolve(pipeline)
        again = check_file(SourceFile("resolved.m3i", text))
        if again.pipeline is None:
            codes = sorted({diagnostic.code for diagnostic in again.diagnostics})
            raise Finding(f"what `m3ic resolve` prints is refused: {', '.join(codes)}")
        if resolve(again.pipeline) != text:
            raise Finding("what `m3ic resolve` prints does not resolve to itself")
        return text
