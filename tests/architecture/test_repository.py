"""The repository stands on its own: it names no place that only its authors can reach."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from tests.architecture.code import ROOT, files, shown

PRIVATE = tuple(
    "".join(parts)
    for parts in (("/", "work/"), ("shared/", "design"), ("/opt/", "pypi"), ("/ro", "ot/"), ("index", "-url"))
)
"""Split, so that this file does not mention them itself."""


def _texts() -> list[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            texts.append((shown(path), content.decode("utf-8")))
    return texts


def test_nothing_private_is_mentioned() -> None:
    wrong = [f"{path}: {word}" for path, text in _texts() for word in PRIVATE if word in text]
    assert wrong == []


def test_text_ends_with_one_newline_and_has_no_trailing_space() -> None:
    wrong: list[str] = []
    for path, text in _texts():
        if (
            path == "LICENSE"
            or "/golden" in path
            or not path.endswith((".py", ".m3i", ".lark", ".md", ".toml", ".txt"))
        ):
            continue
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            wrong.append(f"{path}: end")
        if not path.endswith((".md", ".txt")) and re.search(r"[ \t]+$", text, flags=re.MULTILINE):
            wrong.append(f"{path}: trailing space")
    assert wrong == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    installed = ["train", "lsp", "tensorboard", "testing", "dev"]
    requirements = [*project["dependencies"], *(name for extra in installed for name in extras[extra])]
    assert f"m3ic[{','.join(installed[:-1])}]" in extras["dev"], "these are what `make environment` installs"
    wanted = {
        re.split(r"[<>=\[ ;]", requirement)[0].lower().replace("_", "-")
        for requirement in requirements
        if not requirement.startswith("m3ic[")
    }
    pins = [
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(len(pin) == 2 for pin in pins), "constraints are exact"
    assert wanted <= {name for name, _ in pins}


def test_every_folder_of_tests_is_explained() -> None:
    named = re.findall(r"^\| `(\w+)/", (ROOT / "tests" / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in files() if _in_folder_of_tests(path)}
    assert named == sorted(named) and set(named) == folders


def _in_folder_of_tests(path: Path) -> bool:
    return path.is_relative_to(ROOT / "tests") and path.parent != ROOT / "tests"


def test_continuous_integration_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")


def test_the_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.count("\n") > 190
