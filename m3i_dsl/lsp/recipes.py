"""The open documents and what is known of them.

Takes: texts by path, as an editor has them. Gives: for each the file, its tree and what `check` says. Guarantees: an
unsaved text stands for its file wherever a recipe uses it; nothing is checked twice while no text changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.driver import Checked, check_loaded
from m3i_dsl.semantics.elaborate import names_of_part
from m3i_dsl.semantics.structure import is_part
from m3i_dsl.semantics.uses import Uses
from m3i_dsl.source import DISK, InMemory, SourceFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import Loaded, load_recipe


@dataclass(frozen=True)
class Analysis:
    """A document as it is now. `checked` is None of a part, a file of definitions for recipes to use."""

    file: SourceFile
    loaded: Loaded
    checked: Checked | None

    @property
    def tree(self) -> ast.Recipe:
        """Of the document alone."""
        return self.loaded.main

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What `m3ic check` says of it, of used files too."""
        return tuple(self.loaded.diagnostics if self.checked is None else self.checked.diagnostics)

    @cached_property
    def uses(self) -> Uses:
        """Names and words of the recipe with what it uses; of a part those that stand in it."""
        return names_of_part(self.loaded.recipe) if self.checked is None else self.checked.uses


@dataclass(slots=True)
class Recipes:
    """What is open, by path."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    _known: dict[str, Analysis] = field(default_factory=dict[str, Analysis])

    def put(self, path: str, text: str) -> None:
        """The text of a document is now this one."""
        self.texts[path] = text
        self._known.clear()

    def drop(self, path: str) -> None:
        """A document is closed: its file is again what is on disk."""
        self.texts.pop(path, None)
        self._known.clear()

    def forget(self) -> None:
        """Files have changed on disk."""
        self._known.clear()

    def analysis(self, path: str) -> Analysis:
        """What is known of an open document. Raises KeyError for any other."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._analysed(SourceFile(path, self.texts[path]))
        return found

    def _analysed(self, file: SourceFile) -> Analysis:
        loaded = load_recipe(file, InMemory(self.texts, DISK))
        return Analysis(file, loaded, None if is_part(loaded.main) else check_loaded(loaded))

    def users_of(self, path: str) -> list[Analysis]:
        """The open recipes that read the file at `path`, itself included."""
        return [found for found in map(self.analysis, self.texts) if path in _files_of(found)]


def _files_of(analysis: Analysis) -> set[str]:
    if analysis.checked is None:
        return {analysis.file.name}
    return {source.name for source in analysis.checked.sources}
