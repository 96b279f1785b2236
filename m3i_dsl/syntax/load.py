"""From a recipe's file to its tree, with the files that it uses.

Takes: the main file and a reader for the others. Gives: one recipe: the header, then those of the used files, each
file once and before the file that uses it, then the main file's own. Guarantees: `use` statements are gone from
the result; spans in used files know which `use` brought them in; never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    """The merged recipe, the main file alone, what is wrong with its files, and the files."""

    recipe: ast.Recipe
    main: ast.Recipe
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
    return Loaded(recipe, loader.trees[0], loader.diagnostics, tuple(loader.sources))


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
    trees: list[ast.Recipe] = field(default_factory=list)
    """Of each of `sources`."""
    seen: set[str] = field(default_factory=set)

    def declarations(
        self, file: SourceFile, chain: tuple[_Link, ...], *, as_recipe: bool = False
    ) -> list[ast.Declaration]:
        """Those of the files that `file` uses, then its own; `as_recipe` with how a used one trains and is measured."""
        link = _Link(file, self.reader.identity(file))
        self.seen.add(link.identity)
        self.sources.append(file)
        recipe, diagnostics = parse(file)
        self.trees.append(recipe)
        self.diagnostics.extend(diagnostics)
        self.diagnostics.extend(_header_faults(recipe.declarations))
        used: list[ast.Declaration] = []
        own: list[ast.Declaration] = []
        for declaration in recipe.declarations:
            if isinstance(declaration, ast.Use):
                used += self._used(declaration, (*chain, link))
            elif chain and isinstance(declaration, MAIN_FILE_ONLY) and not as_recipe:
                self.diagnostics.add(_main_file_only(declaration))
            elif not chain or not isinstance(declaration, (ast.Version, ast.RecipeName)):
                own.append(declaration)
        return [d for d in used if not any(_replaces(mine, d) for mine in own)] + own

    def _used(self, use: ast.Use, chain: tuple[_Link, ...]) -> list[ast.Declaration]:
        """The declarations that `use` brings in, with the values that it gives to their params."""
        found, given = self._use(use, chain), dict[str, ast.Value]()
        names = [declaration.name.text for declaration in found if isinstance(declaration, ast.Param)]
        for argument in use.arguments or ():
            if argument.name is None:
                helps = ["write `NAME: value`, with the name of a `param` of that file"]
                self.diagnostics.add(error("M3I0201", "`use` takes values by name", argument.span, helps=helps))
            elif argument.name.text in given:
                message = f"`{argument.name.text}` is given twice"
                self.diagnostics.add(error("M3I0125", message, argument.name.span, helps=["remove one of them"]))
            elif argument.name.text not in names:
                self.diagnostics.add(_no_param(use, argument.name, names))
            else:
                given[argument.name.text] = argument.value
        return [replace(d, value=given.get(d.name.text, d.value)) if isinstance(d, ast.Param) else d for d in found]

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
        if identity in self.seen:
            return []
        return self.declarations(file, chain, as_recipe=use.arguments is not None)


def _replaces(own: ast.Declaration, used: ast.Declaration) -> bool:
    """Whether `own` stands in the place of what a used recipe says: one way to train, one way to measure."""
    if isinstance(used, ast.Evaluate):
        return isinstance(own, (ast.Evaluate, ast.Stage))
    return isinstance(used, (ast.Train, ast.Stage)) and isinstance(own, (ast.Train, ast.Stage))


def _no_param(use: ast.Use, name: ast.Name, known: Sequence[str]) -> Diagnostic:
    near = difflib.get_close_matches(name.text, known, n=1)
    helps = [f"did you mean `{near[0]}`?"] if near else [f"its params are {', '.join(f'`{one}`' for one in known)}"]
    message = f"`{use.path.value}` has no `param {name.text}`"
    return error("M3I0129", message, name.span, helps=helps if known else ["it has no `param` at all"])


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
        helps=[
            f"move the `{word}` into the file on the command line",
            'use the file as a recipe, with values of its params in parentheses: `use "recipe.m3i" (batch: 256)`',
        ],
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
