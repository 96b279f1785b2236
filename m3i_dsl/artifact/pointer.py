"""`target/latest`: the artifact that commands without an argument mean.

Takes: the folder of artifacts. Gives: the last one written. Guarantees: the pointer is a small text file with a
relative path, replaced as a whole, so it survives moving the folder and is never half-written; after a compilation that
failed there is no latest one until another succeeds, so that an older artifact is never taken for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from m3i_dsl.artifact.faults import fault
from m3i_dsl.artifact.publish import replace_file
from m3i_dsl.diagnostics import Diagnostic, RecipeError

TARGET = Path("target")
POINTER = "latest"
FAILED = "failed"
"""What stands beside the pointer after a compilation that failed: the recipe's path."""


def set_latest(folder: Path, target: Path = TARGET) -> None:
    """Makes `folder` the latest artifact of `target`. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    relative = Path(os.path.relpath(folder.resolve(), target.resolve())).as_posix()
    replace_file(target / POINTER, f"{relative}\n".encode())
    (target / FAILED).unlink(missing_ok=True)


def note_failure(recipe: str, target: Path = TARGET) -> None:
    """Says that `recipe` was compiled last, in vain. Without an earlier artifact there is none to be taken for it."""
    if (target / POINTER).is_file():
        with suppress(OSError):  # who cannot write here could not have compiled either, and was told so
            replace_file(target / FAILED, recipe.encode(errors="replace"))


def latest(target: Path = TARGET) -> Path:
    """The folder that the pointer names; whether it is a whole artifact is for `load` to say.

    Raises RecipeError: M3I0607 when nothing was compiled yet or the pointer is damaged, M3I0611 when what was compiled
    last failed.
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
    folder = Path(os.path.normpath(target / name))
    if (target / FAILED).is_file():
        raise RecipeError([_after_failure(target / FAILED, folder)])
    return folder


def _after_failure(note: Path, folder: Path) -> Diagnostic:
    recipe = note.read_text(encoding="utf-8", errors="replace")
    return fault(
        "M3I0611",
        f"what was compiled last, `{recipe}`, has failed: `{folder}` is from before",
        str(note),
        helps=(f"compile `{recipe}` again when it is mended, or train the earlier artifact: `m3ic train {folder}`",),
    )
