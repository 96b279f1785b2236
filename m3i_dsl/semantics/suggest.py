"""Help lines for names that are not known in their position."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def help_for(name: str, legal: Iterable[str], *, otherwise: str = "") -> tuple[str, ...]:
    """`did you mean`, or all legal names when they are few, or `otherwise`."""
    names = list(legal)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return (f"did you mean `{close[0]}`?",)
    if names and len(names) <= 8:
        return ("known here: " + ", ".join(f"`{known}`" for known in names),)
    return (otherwise,) if otherwise else ()
