"""Wrong use: what is asked for cannot be meant.

Takes: nothing. Gives: `WrongUse`, and the stage that a name means. Guarantees: imports nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


class WrongUse(Exception):
    """A flag without a meaning here, a stage that is none, a file that cannot be read. Exit code 2."""


def place_of_stage(names: Sequence[str], stage: str, flag: str = "--stage") -> int:
    """Which stage is called so, counted from 0. Raises WrongUse."""
    import difflib

    if stage in names:
        return names.index(stage)
    if not names:
        raise WrongUse(f"{flag}: the recipe has no stages")
    near = difflib.get_close_matches(stage, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(f"`{name}`" for name in names)
    raise WrongUse(f"{flag}: there is no stage `{stage}`; {hint}")
