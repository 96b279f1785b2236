"""From a recipe's file to its tree, with the files that it uses.

Takes: the main file and a reader for the others. Gives: one recipe: the header, then those of the used files, each
file once and before the file that uses it, then the main file's own. Guarantees: `use` statements are gone from
the result; spans in used files know which `use` brought them in; never an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from m3i_dsl.diagnostics import MOST_ERRORS, Diagnostic, Diagnostics, Label, TooManyErrors, error
from m3i_dsl.source import DISK, MissingFile, Reader, SourceFile, Span, UnreadableFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.parser import parse

LANGUAGE_VERSION = 1

DEEPEST_USE = 64
"""Files that use each other in a row."""

MAIN_FILE_ONLY = (ast.RecipeName, ast.Train, ast.Evaluate, ast.Stage)
"""What makes a file a recipe; a used file is a part of one."""


class Loaded(NamedTuple):
    """The merged recipe, what is wrong with its files, and the files."""

    recipe: ast.Recipe
    diagnostics: Diagnostics
    sources: tuple[SourceFile, ...]
    """Every file that was read, the main one first."""


def load_recipe(file: SourceFile, reader: Reader = DISK) -> Loaded:
    """The whole recipe that starts in `file`."""
    loader = _Loader(reader)
    try:
        own = loader.declarations(file, chain=())
    except TooManyErrors:
        own = []
    header = [d for d in own if isinstance(d, (ast.Version, ast.RecipeName)) and d.span.file is file]
    rest = [d for d in own if not isinstance(d, (ast.Version, ast.RecipeName))]
    recipe = ast.Recipe((*header, *rest), Span(file, 0, len(file.text)))
    return Loaded(recipe, loader.diagnostics, tuple(loader.sources))


@dataclass(frozen=True, slots=True)
class _Link:
    """A file that is being read, and its identity."""

    file: SourceFile
    identity: str


@dataclass(slots=True)
class _Loader:
    reader: Reader
    diagnostics: Diagnostics = field(default_factory=lambda: Diagnostics(most=MOST_ERRORS))
    sources: list[SourceFile] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def declarations(self, file: SourceFile, chain: tuple[_Link, ...]) -> list[ast.Declaration]:
        """Those of the files that `file` uses, then its own."""
        link = _Link(file, self.reader.identity(file))
        self.seen.add(link.identity)
        self.sources.append(file)
        recipe, diagnostics = parse(file)
        self.diagnostics.extend(diagnostics)
        self.diagnostics.extend(_header_faults(recipe.declarations))
        used: list[ast.Declaration] = []
        own: list[ast.Declaration] = []
        for declaration in recipe.declarations:
            if isinstance(declaration, ast.Use):
                used += self._use(declaration, (*chain, link))
            elif chain and isinstance(declaration, MAIN_FILE_ONLY):
                self.diagnostics.add(_main_file_only(declaration))
            elif not chain or not isinstance(declaration, ast.Version):
                own.append(declaration)
        return used + own

    def _use(self, use: ast.Use, chain: tuple[_Link, ...]) -> list[ast.Declaration]:
        user = chain[-1].file
        if len(chain) > DEEPEST_USE:
            message = f"more than {DEEPEST_USE} files use each other in a row"
            helps = ["use the file that is needed from the recipe itself"]
            self.diagnostics.add(error("M3I0140", message, use.path.span, helps=helps))
            return []
        try:
            file = self.reader.read(use.path.value, user, use.span)
        except MissingFile as fault:
            helps = [f"did you mean {' or '.join(f'`{name}`' for name in fault.near)}?"] if fault.near else []
            message = f"there is no file `{fault.name}`"
            notes = ["the path starts at the folder of the file that uses it"]
            self.diagnostics.add(error("M3I0101", message, use.path.span, notes=notes, helps=helps))
            return []
        except UnreadableFile as fault:
            message = f"`{fault.name}` cannot be read: {fault.reason}"
            self.diagnostics.add(error("M3I0103", message, use.path.span))
            return []
        identity = self.reader.identity(file)
        if any(link.identity == identity for link in chain):
            self.diagnostics.add(_cycle(use, [link for link in chain], identity))
            return []
        return [] if identity in self.seen else self.declarations(file, chain)


def _cycle(use: ast.Use, chain: Sequence[_Link], identity: str) -> Diagnostic:
    first = next(index for index, link in enumerate(chain) if link.identity == identity)
    names = [f"`{link.file.name}`" for link in chain[first:]]
    if len(names) == 1:
        return error("M3I0102", f"{names[0]} uses itself", use.path.span, helps=["remove this `use`"])
    secondary = [
        Label(link.file.included_from, "") for link in chain[first + 1 :] if link.file.included_from is not None
    ]
    return error(
        "M3I0102",
        f"files use each other in a circle: {' uses '.join([*names, names[0]])}",
        use.path.span,
        "closes the circle",
        secondary=secondary,
        helps=["move what both need into a file of its own"],
    )


def _main_file_only(declaration: ast.RecipeName | ast.Train | ast.Evaluate | ast.Stage) -> Diagnostic:
    words = {ast.RecipeName: "recipe", ast.Train: "train", ast.Evaluate: "evaluate", ast.Stage: "stage"}
    word = words[type(declaration)]
    span = declaration.span
    start = Span(span.file, span.start, span.start + len(word))
    return error(
        "M3I0104",
        f"a file that is used cannot have a `{word}`",
        start,
        notes=["a used file shares parameters, data, views, encoders, and objectives"],
        helps=[f"move the `{word}` into the file on the command line"],
    )


def _header_faults(declarations: Sequence[ast.Declaration]) -> list[Diagnostic]:
    """`m3i 1` comes first, once, and is the version that this compiler reads; `recipe` comes once."""
    faults: list[Diagnostic] = []
    first: dict[type, ast.Declaration] = {}
    for index, declaration in enumerate(declarations):
        if not isinstance(declaration, (ast.Version, ast.RecipeName)):
            continue
        word = "m3i" if isinstance(declaration, ast.Version) else "recipe"
        earlier = first.setdefault(type(declaration), declaration)
        if earlier is not declaration:
            secondary = [Label(earlier.span, "first written here")]
            message = f"`{word}` is written twice"
            faults.append(
                error("M3I0042", message, declaration.span, secondary=secondary, helps=["remove one of them"])
            )
        elif isinstance(declaration, ast.Version):
            if index > 0:
                message = "the version of the language does not come first"
                helps = ["move it to the first line of the file"]
                faults.append(error("M3I0042", message, declaration.span, helps=helps))
            if declaration.number.value != LANGUAGE_VERSION or declaration.number.unit:
                message = f"there is no version `{declaration.number.span.text}` of the language"
                helps = [f"this compiler reads version {LANGUAGE_VERSION}: write `m3i {LANGUAGE_VERSION}`"]
                faults.append(error("M3I0040", message, declaration.number.span, helps=helps))
    return faults
