"""Packages with words, installed without network and outside the environment.

`install` writes what `pip install --target` would: the modules and a `.dist-info` with the entry points. `found_here`
has this process find them; `m3ic` runs the command in a process that has the folder on its path, as do the processes
that it starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from m3i_dsl.vocabulary import packages, registry
from tests.architecture.code import ROOT

RECIPE = """m3i 1
recipe foreign

data digits = embedded("digits")

view view1 of digits.image = crop(32px)

encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 2)

objective pixels {{
  input     masked view1 by {mask}
  represent dense feature of image

  target pixels {{
    data           view1
    representation dense pixels
    predictor      {predictor}
    regularization none
    distribution   gaussian
  }}
}}

train {{
  batch     64
  epochs    1
  optimizer adamw(lr: 1e-3)
}}
"""


def recipe(mask: str = "random(75%)", predictor: str = "decoder(layers: 1, heads: 2)") -> str:
    """A whole recipe with such words."""
    return RECIPE.format(mask=mask, predictor=predictor)


def install(
    folder: Path, name: str, version: str, files: Mapping[str, str], words: Mapping[str, str], group: str = "m3ic.words"
) -> Path:
    """Package `name` in `folder`, with `files` by path and `words` by `kind.name`; in place of another version."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for old in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in words.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def install_project(folder: Path, project: Path) -> Path:
    """The package whose `pyproject.toml` is in `project`, modules in the folder of its name, in `folder`."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    modules = project / declared["name"].replace("-", "_")
    files = {path.relative_to(project).as_posix(): path.read_text(encoding="utf-8") for path in modules.glob("*.py")}
    return install(folder, declared["name"], declared["version"], files, declared["entry-points"]["m3ic.words"])


@contextmanager
def found_here(folder: Path, *modules: str) -> Generator[Path]:
    """With the packages of `folder`, whose `modules` are imported, found by this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        _forgotten(modules)
        yield folder
    _forgotten(modules)


def _forgotten(modules: Sequence[str]) -> None:
    """What is installed is looked up anew."""
    packages.entries.cache_clear()
    registry.words.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
        del sys.modules[name]


def environment(folder: Path | None) -> dict[str, str]:
    """With `folder` on the path of Python."""
    path = [str(ROOT), *([] if folder is None else [str(folder)])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def m3ic(
    *arguments: str, packages: Path | None, cwd: Path, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command in `cwd`; `text` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "m3i_dsl.cli.main", *arguments],
        cwd=cwd,
        env=environment(packages),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
