"""Rules of the code that no linter checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.code import PACKAGE, ROOT, files, modules, shown, tree

LONGEST = 500
"""Lines. A file of one concept has 100 to 300; one beyond this has two."""

PYTHON = [path for path in files(".py") if path.is_relative_to(PACKAGE) or path.is_relative_to(ROOT / "tests")]


def test_no_file_is_too_long() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_file_is_named_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "stuff"}
    named = [shown(path) for path in PYTHON if vague & {part.removesuffix(".py") for part in path.parts}]
    assert [path for path in named if not path.startswith("tests/architecture/")] == []


def test_code_is_ascii() -> None:
    wrong = [
        f"{shown(path)}:{number}"
        for path in [*PYTHON, *files(".lark")]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if not line.isascii()
    ]
    assert wrong == []


def _restricted_loads(path: Path) -> list[ast.expr]:
    """`torch.load(..., weights_only=True)` of `m3ic import`, which makes nothing but tensors and plain containers."""
    if path.name != "importing.py":
        return []
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return [
        call.func
        for call in calls
        if any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)
    ]


def _dangers(path: Path) -> Iterator[str]:
    """What turns data into code: these would make loading an artifact or a checkpoint run whatever it says."""
    modules_of_danger = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    calls = {"eval", "exec", "compile", "__import__"}
    restricted = _restricted_loads(path)
    attributes = {("torch", "load"), ("torch", "save"), ("joblib", "load"), ("numpy", "load"), ("np", "load")}
    for node in ast.walk(tree(path)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line} imports {a.name}" for a in node.names if a.name.split(".")[0] in modules_of_danger)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in modules_of_danger:
            yield f"{line} imports {node.module}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls:
            yield f"{line} calls {node.func.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in attributes and node not in restricted:
                yield f"{line} uses {node.value.id}.{node.attr}"


def test_data_never_becomes_code() -> None:
    assert [f"{shown(path)}:{danger}" for path in modules() for danger in _dangers(path)] == []


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "eval('1')", "exec('1')", "torch.load('x')", "__import__('os')"],
)
def test_a_danger_would_be_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "danger.py"
    path.write_text(text, encoding="utf-8")
    assert list(_dangers(path))


def test_every_module_says_what_it_is() -> None:
    assert [
        shown(path) for path in [*modules(), *files(".py", under=ROOT / "tests")] if not ast.get_docstring(tree(path))
    ] == []


def test_every_public_function_and_class_has_a_docstring() -> None:
    """But for one that is the only one of its module: the module's docstring is about it."""
    without: list[str] = []
    for path in modules():
        public = [
            node
            for node in tree(path).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not _is_overload(node)
        ]
        if len(public) > 1:
            without.extend(f"{shown(path)}:{node.lineno} {node.name}" for node in public if not ast.get_docstring(node))
    assert without == []


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(isinstance(item, ast.Name) and item.id == "overload" for item in node.decorator_list)


def test_no_blanket_exceptions_to_the_checks() -> None:
    """Every `type: ignore`, `pyright: ignore` and `noqa` names the rule."""
    wrong: list[str] = []
    for path in modules():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            _, found, rest = line.partition("type: ignore")
            if found and not rest.startswith("["):
                wrong.append(f"{shown(path)}:{number}")
            _, found, rest = line.partition("pyright: ignore")
            if found and not rest.startswith("["):
                wrong.append(f"{shown(path)}:{number}")
    assert wrong == []
