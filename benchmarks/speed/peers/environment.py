"""The environment of the peers: benchmarks/.peers, with pinned versions, beside m3ic itself.

Takes: nothing. Gives: its Python, or the reason why there is none. Guarantees: the environment that asks is not
changed; a peer that cannot be installed leaves the others; nothing is installed twice.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "benchmarks" / ".peers"

PINS = ("lightly==1.6.0", "transformers==5.23.0", "open_clip_torch==3.3.0", "stable-pretraining==0.1.8")

INSTALL_SECONDS = 1800


class NoEnvironment(Exception):
    """The environment cannot be made."""


def inside() -> bool:
    """Whether this process runs in the environment."""
    return Path(sys.prefix).resolve() == FOLDER.resolve()


def prepare() -> tuple[Path, dict[str, str]]:
    """Python of the environment, made if need be, and the pins that did not install. Raises NoEnvironment."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        _say("making the environment of the peers in benchmarks/.peers (once, some minutes)")
        _run([sys.executable, "-m", "venv", str(FOLDER)])
    if not (FOLDER / ".m3ic").exists():
        _run([*_pip(python), "-e", str(ROOT)])
        (FOLDER / ".m3ic").touch()
    failed: dict[str, str] = {}
    for pin in PINS:
        mark = FOLDER / f".{pin}"
        if mark.exists():
            continue
        try:
            _say(f"installing {pin}")
            _run([*_pip(python), pin])
            mark.touch()
        except NoEnvironment as problem:
            failed[pin] = str(problem)
    return python, failed


def _pip(python: Path) -> list[str]:
    constraints = ROOT / "constraints.txt"
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NoEnvironment(type(problem).__name__) from problem
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NoEnvironment(lines[0] if lines else f"exit status {done.returncode}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
