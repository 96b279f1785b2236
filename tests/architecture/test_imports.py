"""Phases import only earlier phases, and what answers at once imports nothing heavy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.code import modules, parts, shown, tree

ORDER = (
    "source",
    "diagnostics",
    "syntax",
    "vocabulary",
    "semantics",
    "ir",
    "passes",
    "drawing",
    "collectives",
    "modules",
    "lower",
    "artifact",
    "data",
    "runtime",
    "evaluation",
    "plan",
    "driver",
    "front",
    "scaffold",
    "lsp",
    "testing",
    "cli",
    "train",
    "__main__",
)
"""Each may import itself and what stands before it."""

LATER_WHEN_ASKED = {"vocabulary": {"modules", "data", "evaluation"}}
"""A word builds its module, applies its transform and measures itself. The import waits inside the function that does
so."""

HEAVY = {
    "PIL",
    "matplotlib",
    "numpy",
    "pyarrow",
    "safetensors",
    "scipy",
    "sklearn",
    "tensorboard",
    "timm",
    "tokenizers",
    "torch",
    "torchvision",
}
MAY_BE_HEAVY = {"collectives", "modules", "lower", "data", "runtime", "evaluation", "plan", "testing"}


def _imports(path: Path) -> Iterator[tuple[str, int, bool, bool]]:
    """(imported module, line, inside a function, for type checking only) of each import in a file."""

    def visit(node: ast.AST, inside: bool, types_only: bool) -> Iterator[tuple[str, int, bool, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, inside, types_only
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{shown(path)}:{node.lineno}: relative import"
            # `from m3i_dsl import artifact` imports the module m3i_dsl.artifact
            if node.module == "m3i_dsl":
                yield from ((f"m3i_dsl.{alias.name}", node.lineno, inside, types_only) for alias in node.names)
            else:
                yield node.module, node.lineno, inside, types_only
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for child in node.body:
                yield from visit(child, inside, True)
            for child in node.orelse:
                yield from visit(child, inside, types_only)
        else:
            inner = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inner, types_only)

    yield from visit(tree(path), False, False)


def test_every_folder_has_its_place_in_the_order() -> None:
    unplaced = {parts(path)[0] for path in modules() if parts(path)} - set(ORDER)
    assert unplaced == set(), "give it a place in ORDER, and in the table of README.md"


@pytest.mark.parametrize("phase", ORDER)
def test_imports_go_backwards(phase: str) -> None:
    allowed = set(ORDER[: ORDER.index(phase) + 1])
    wrong: list[str] = []
    for path in modules():
        if parts(path)[:1] != (phase,):
            continue
        for module, line, inside, types_only in _imports(path):
            names = module.split(".")
            if names[0] != "m3i_dsl" or len(names) == 1 or names[1] not in ORDER:
                continue
            lazily = LATER_WHEN_ASKED.get(phase, set()) if inside or types_only else set()
            if names[1] not in allowed | lazily:
                wrong.append(f"{shown(path)}:{line} imports {module}")
    assert wrong == []


def test_data_does_not_import_a_word_that_asks_for_it() -> None:
    """A word hands over plain values: what reads its format can be read, and used, without it."""
    imported = {
        ".".join(("m3i_dsl", *parts(path))): {
            f"{node.module}.{alias.name}" if node.module == "m3i_dsl" else node.module
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and node.module is not None
            for alias in node.names
        }
        for path in modules()
    }
    circles = {
        f"{name} and {other}"
        for name, asked in imported.items()
        if name.startswith("m3i_dsl.vocabulary.")
        for other in asked
        if name in imported.get(other, set()) and other.startswith("m3i_dsl.data.")
    }
    assert circles == set()


def test_the_package_itself_imports_nothing() -> None:
    """Its names are imported when they are asked for: the version is read by tools that must not wait for torch."""
    package = next(path for path in modules() if parts(path) == ())
    found = [module for module, _, inside, types_only in _imports(package) if not inside and not types_only]
    assert found == ["importlib", "typing"]


def test_what_answers_at_once_imports_nothing_heavy() -> None:
    wrong = [
        f"{shown(path)}:{line} imports {module}"
        for path in modules()
        if parts(path)[:1] and parts(path)[0] not in MAY_BE_HEAVY
        for module, line, inside, types_only in _imports(path)
        if module.split(".")[0] in HEAVY and not inside and not types_only
    ]
    assert wrong == []
