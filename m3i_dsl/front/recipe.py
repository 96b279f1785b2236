"""A recipe in Python: read, checked, drawn, tabled, compiled.

Takes: a path or a text, and values for its `param`s. Gives: `Recipe`. Guarantees: the same phases as the commands, by
way of `driver.py`; torch is imported by `compile` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.driver import Checked, check_file, resolve
from m3i_dsl.front.shown import Picture, Table
from m3i_dsl.front.wrong_use import place_of_stage
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile, read_file
from m3i_dsl.syntax import parse_value

if TYPE_CHECKING:
    from m3i_dsl.front.compiled import Compiled

Setting = str | int | float | bool
"""The value of a `param`: a number, a boolean, or text as a recipe writes it (`"32px"`, `"0.99 -> 1 cosine"`)."""


class Recipe:
    """A recipe that has no errors. `path` is its file, `base` the folder that its own paths start from.

    `program` is the typed program, of a recipe of stages that of the last one; `stages` has all.
    """

    def __init__(self, checked: Checked, settings: Mapping[str, str], base: Path) -> None:
        """Use `read` or `parse`. Raises RecipeError with every diagnostic when there are errors."""
        self.program: Program = checked.required()
        self.base = base
        self._checked = checked
        self._settings = dict(settings)

    @property
    def name(self) -> str:
        """As the recipe says it."""
        return self.program.name

    @property
    def stages(self) -> tuple[Program, ...]:
        """The typed programs, one for each stage; one of a recipe without stages."""
        return self._checked.stages().stages

    @property
    def text(self) -> str:
        """What was read."""
        return self.program.file.text

    @property
    def parameters(self) -> Mapping[str, str]:
        """The `param`s by name, with the text of the value in force."""
        return dict(self.program.parameters)

    def check(self) -> tuple[Diagnostic, ...]:
        """The lints: what is legal but rarely meant. Errors were raised when the recipe was read."""
        return tuple(self._checked.diagnostics)

    def resolve(self) -> str:
        """The recipe with every default written out and every used file inlined."""
        return resolve(self._checked.stages())

    def table(self) -> Table:
        """Its targets as rows of the instantiation table; a notebook shows them."""
        from m3i_dsl.semantics.table import COLUMNS, rows

        stages = self.stages
        found = [(name, row) for program in stages for name, row in rows(program)]
        return Table(("row", *COLUMNS), tuple((name, *row.cells()) for name, row in found))

    def graph(self, stage: str | None = None) -> Picture:
        """The picture of `m3ic graph`; a notebook shows it. `stage` of a recipe of stages: the last one.

        Raises WrongUse for a stage that is none.
        """
        from m3i_dsl.drawing import draw
        from m3i_dsl.drawing.svg import render

        pipeline = self._checked.stages()
        place = -1 if stage is None else place_of_stage(pipeline.names, stage)
        return Picture(render(draw(pipeline.stages[place])))

    def compile(self, folder: str | Path | None = None) -> Compiled:
        """Opens the data, builds the modules and writes the artifact to `folder` (default: `target/NAME`).

        Raises RecipeError: data that cannot be opened or are too few, weights that do not fit, a folder that is none of
        ours. Raises OSError when the folder cannot be written.
        """
        from m3i_dsl.artifact.pointer import TARGET
        from m3i_dsl.driver import compile_program, compile_stages, write_artifact, write_stages
        from m3i_dsl.front.compiled import Compiled

        path = TARGET / self.name if folder is None else Path(folder)
        pipeline = self._checked.stages()
        if not pipeline.staged:
            compiled = compile_program(self.program, self.base)
            return Compiled(path, write_artifact(path, compiled, self._checked, self._settings))
        stages = compile_stages(pipeline, self.base)
        return Compiled(path, write_stages(path, stages, self._checked, self._settings)[0])

    def _repr_svg_(self) -> str:
        return self.graph().svg

    def __repr__(self) -> str:
        objectives = [objective for program in self.stages for objective in program.objectives]
        targets = ", ".join(
            f"{objective.name}.{target.name}" for objective in objectives for target in objective.targets
        )
        return f"<recipe {self.name}: {targets}>"


def read(path: str | Path, settings: Mapping[str, Setting] | None = None) -> Recipe:
    """The recipe in a file; `settings` are values of its `param`s, as `--set` gives them.

    Raises RecipeError with every diagnostic when it has errors, and MissingFile or UnreadableFile for the file itself.
    """
    path = Path(path)
    return _recipe(read_file(path), settings or {}, path.parent)


def parse(text: str, settings: Mapping[str, Setting] | None = None, *, base: str | Path = ".") -> Recipe:
    """The recipe of a text; the paths in it, of data and of `use`, start at `base`. Raises RecipeError."""
    base = Path(base)
    return _recipe(SourceFile(str(base / "<text>"), text), settings or {}, base)


def _recipe(file: SourceFile, settings: Mapping[str, Setting], base: Path) -> Recipe:
    texts = {name: _text(value) for name, value in settings.items()}
    values = {name: parse_value(text, f"<settings {name}>") for name, text in texts.items()}
    return Recipe(check_file(file, values), texts, base)


def _text(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
