"""What somebody has who installs m3ic from an index: the wheel in an environment with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LARGEST = 20_000_000
"""Bytes of the base install, m3ic and what it needs."""


def _run(*command: str | Path, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=check
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("bare")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    built = _run(*pip, "wheel", "--no-deps", "-q", "-w", folder / "dist", ROOT, folder=folder, check=False)
    if built.returncode and "hatchling" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("no package index can be reached")
    assert built.returncode == 0, built.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "env", folder=folder)
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    _run(*pip, "--python", python, "install", "-q", "-c", constraints, wheel, folder=folder)
    return folder / "env" / "bin"


def test_the_base_install_is_small(bare: Path) -> None:
    files = [path for path in bare.parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files if not path.is_symlink()) < LARGEST


def test_every_recipe_is_written_and_checks_there(bare: Path, tmp_path: Path) -> None:
    listed = json.loads(_run(bare / "m3ic", "init", "--json", folder=tmp_path).stdout)
    names = [recipe["name"] for recipe in listed]
    assert {"mae", "m3i", "table/02_clip"} <= set(names)
    program = "import sys; from m3i_dsl.cli.main import main; sys.exit(max(main(['init', n]) for n in sys.argv[1:]))"
    _run(bare / "python", "-c", program, *names, folder=tmp_path)
    _run(bare / "m3ic", "check", ".", folder=tmp_path)
    _run(bare / "m3ic", "fmt", "--check", ".", folder=tmp_path)


@pytest.mark.parametrize(
    "command",
    ["resolve mae.m3i", "table mae.m3i", "graph mae.m3i -o mae.svg", "explain M3I0720", "vocab", "opt mae.m3i"],
)
def test_what_reads_recipes_works_there(bare: Path, tmp_path: Path, command: str) -> None:
    _run(bare / "m3ic", "init", "mae", folder=tmp_path)
    assert _run(bare / "python", "-m", "m3i_dsl", *command.split(), folder=tmp_path).stderr == ""


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        *((command, "train") for command in ("compile mae.m3i", "plan mae.m3i", "train", "runs", "eval")),
        ("lsp", "lsp"),
    ],
)
def test_what_needs_more_names_the_extra(bare: Path, tmp_path: Path, command: str, extra: str) -> None:
    _run(bare / "m3ic", "init", "mae", folder=tmp_path)
    done = _run(bare / "m3ic", *command.split(), folder=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    first, help_, _ = done.stderr.splitlines()
    assert first.startswith(f"error[M3I0720]: `m3ic {command.split()[0]}` needs ")
    assert help_ == f'  = help: run `pip install "m3ic[{extra}]"`'
