"""What is different between two canonical recipes, line by line, each line with the blocks that it stands in.

Takes: the texts. Gives: one `ChangedLine` for each change. Guarantees: comments, layout and alignment make no
difference; a line that moved to another block is gone from one and new in the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """`where` is the blocks around the line, outermost first; None before or after for what is new or gone."""

    where: str
    before: str | None
    after: str | None


def changed_lines(old: str, new: str) -> Iterator[ChangedLine]:
    """In the order of the recipes."""
    before, after = list(_lines(old)), list(_lines(new))
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            continue
        gone, come = before[i:j], after[k:m]
        for index in range(max(len(gone), len(come))):
            old_line = gone[index] if index < len(gone) else None
            new_line = come[index] if index < len(come) else None
            if old_line is not None and new_line is not None and old_line[0] != new_line[0]:
                yield ChangedLine(old_line[0], old_line[1], None)
                yield ChangedLine(new_line[0], None, new_line[1])
                continue
            where = (old_line or new_line or ("", ""))[0]
            yield ChangedLine(where, old_line and old_line[1], new_line and new_line[1])


def _lines(recipe: str) -> Iterator[tuple[str, str]]:
    """(the blocks around it, a line without its indentation and alignment) of each line with words."""
    blocks: list[str] = []
    for line in recipe.splitlines():
        text = re.sub(r"\s+", " ", line.partition("#")[0]).strip()
        if not text:
            continue
        if text == "}":
            blocks.pop()
            continue
        yield " > ".join(blocks) or "recipe", text.removesuffix("{").strip()
        if text.endswith("{"):
            blocks.append(text.removesuffix("{").strip())
