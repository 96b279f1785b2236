"""`target/latest`: the artifact that commands without an argument mean.

Takes: the folder of artifacts. Gives: the last one written. Guarantees: the pointer is a small text file with a
relative path, replaced as a whole, so it survives moving the folder and is never half-written.
"""

from __future__ import annotations

import os
from pathlib import Path

from m3i_dsl.artifact.faults import fault
from m3i_dsl.artifact.publish import replace_file
from m3i_dsl.diagnostics import RecipeError

TARGET = Path("target")
POINTER = "latest"


def set_latest(folder: Path, target: Path = TARGET) -> None:
    """Makes `folder` the latest artifact of `target`. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    relative = Path(os.path.relpath(folder.resolve(), target.resolve())).as_posix()
    replace_file(target / POINTER, f"{relative}\n".encode())


def latest(target: Path = TARGET) -> Path:
    """The folder that the pointer names; whether it is a whole artifact is for `load` to say.

    Raises RecipeError (M3I0607) when nothing was compiled yet or the pointer is damaged.
    """
    pointer = target / POINTER
    try:
        text = pointer.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(
            [
                fault(
                    "M3I0607",
                    f"no artifact was compiled into `{target}` yet",
                    str(pointer),
                    helps=("run `m3ic compile RECIPE.m3i` first, or name an artifact's folder",),
                )
            ]
        ) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise RecipeError([fault("M3I0607", f"`{pointer}` cannot be read: {problem}", str(pointer))]) from None
    name = text.strip()
    if not name or "\n" in name or "\0" in name:
        raise RecipeError(
            [
                fault(
                    "M3I0607",
                    f"`{pointer}` does not hold the path of an artifact",
                    str(pointer),
                    text=text,
                    helps=("run `m3ic compile RECIPE.m3i` again, or name an artifact's folder",),
                )
            ]
        )
    return Path(os.path.normpath(target / name))
