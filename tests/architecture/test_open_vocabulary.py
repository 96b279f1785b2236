"""The vocabulary is open in the middle as well: nobody outside of it asks a word which one it is.

Words say their facts (`m3i_dsl/vocabulary/kinds/`), so a word of another package goes wherever one of ours goes.
Outside `vocabulary/` and `modules/` there is no `isinstance` or `match` on a class of a word, no guess by `getattr`
with a default, and no comparison with a word's name, but for the places that are listed here with their reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from m3i_dsl.vocabulary.registry import KINDS, words
from tests.architecture.code import PACKAGE, modules, parts, shown, tree

ALLOWED: dict[str, str] = {
    "m3i_dsl/semantics/elaborate_mixture.py `MixtureOf`": "its arguments are names of data, which no word's are",
    "m3i_dsl/semantics/table.py `global feature`": "the instantiation table is one of names, in which rows are found",
}
"""At most ten: the place and the word, and why it asks."""

BASES = ("kinds",)


def _classes() -> set[str]:
    """The names of the classes of words, which lie in one file a word."""
    folders = [path for path in (PACKAGE / "vocabulary").iterdir() if path.is_dir() and path.name not in BASES]
    return {
        node.name
        for folder in folders
        for path in folder.glob("*.py")
        for node in tree(path).body
        if isinstance(node, ast.ClassDef)
    }


def _names() -> set[str]:
    """What recipes call the words. A name that is a word of English or of Python as well says nothing here."""
    plain = {"none", "linear", "grid", "random", "mix", "image", "text", "category", "fixed", "constant", "folder"}
    return {name for kind in KINDS for name in words(kind)} - plain


def _imported(path: Path, classes: set[str]) -> set[str]:
    """The classes of words that a file imports, by the names that it gives them."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("m3i_dsl.vocabulary.")
        for alias in node.names
        if alias.name in classes
    }


def _asked(path: Path, classes: set[str], names: set[str]) -> Iterator[tuple[str, int]]:
    """(what is asked, line) of each place in a file that asks a word which one it is."""
    own = _imported(path, classes)
    for node in ast.walk(tree(path)):
        for asked in (*_by_class(node, own), *_by_attribute(node), *_by_name(node, own, names)):
            yield asked, getattr(node, "lineno", 0)


def _by_class(node: ast.AST, own: set[str]) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
            for name in {inner.id for inner in ast.walk(kinds) if isinstance(inner, ast.Name)} & own:
                yield f"isinstance {name}"
        case ast.MatchClass(cls=ast.Name(id=name)) if name in own:
            yield f"match {name}"
        case _:
            pass


def _by_attribute(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="getattr" | "hasattr" as how), args=[asked, attribute, *default]):
            if (default or how == "hasattr") and ast.unparse(asked).split(".")[-1] == "word":
                yield f"{how} {ast.unparse(attribute)}"
        case _:
            pass


def _by_name(node: ast.AST, own: set[str], names: set[str]) -> Iterator[str]:
    match node:
        case ast.Compare(left=left, comparators=others):
            of_name = any(isinstance(side, ast.Attribute) and side.attr == "name" for side in (left, *others))
            found = _named([left, *others], own, names)
            yield from (f"`{name}`" for name in found if of_name or " " in name)  # nothing else is called by two words
        case ast.Match(subject=ast.Attribute(attr="name"), cases=cases):
            yield from (f"`{name}`" for name in _named([case.pattern for case in cases], own, names))
        case _:
            pass


def _named(sides: Sequence[ast.AST], own: set[str], names: set[str]) -> Iterator[str]:
    """The words that are named in a comparison, by a string or by their class."""
    for inner in (inner for side in sides for inner in ast.walk(side)):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value in names:
            yield inner.value
        if isinstance(inner, ast.Attribute) and inner.attr == "name" and ast.unparse(inner.value) in own:
            yield ast.unparse(inner.value)


def _outside() -> list[Path]:
    """All files but those of the words, their modules, and the strategies that write recipes."""
    inside = {("vocabulary",), ("modules",)}
    return [path for path in modules() if parts(path)[:1] not in inside and "strategies" not in parts(path)]


def test_nobody_asks_a_word_which_one_it_is() -> None:
    classes, names = _classes(), _names()
    found = {f"{shown(path)} {what}": line for path in _outside() for what, line in _asked(path, classes, names)}
    asking = [f"{place}, line {line}" for place, line in sorted(found.items()) if place not in ALLOWED]
    assert asking == [], "\n" + "\n".join(asking)
    assert len(ALLOWED) <= 10
    assert set(ALLOWED) <= set(found), "a reason for what is no longer asked"


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    """Each way of asking, planted in a file of its own."""
    lines = [
        "from m3i_dsl.vocabulary.masks.random import RandomMask",
        "def ask(word, placed, target):",
        "    isinstance(word, RandomMask)",
        "    getattr(placed.word, 'pool', 'mean')",
        "    hasattr(word, 'layers')",
        "    placed.word.name == 'dense pixels'",
        "    word.name in (RandomMask.name, 'other')",
        "    match word:",
        "        case RandomMask(): pass",
        "    match word.name:",
        "        case 'dense feature': pass",
    ]
    path = tmp_path / "asks.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = [line for _, line in _asked(path, _classes(), _names())]
    assert sorted(set(found)) == [3, 4, 5, 6, 7, 9, 10]
