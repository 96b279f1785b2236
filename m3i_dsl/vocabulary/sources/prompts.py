"""Texts made from the names of categories, for targets of text on data that has only categories."""

from __future__ import annotations

from m3i_dsl.vocabulary.kinds import WordError


def check_prompt(prompt: str | None, *, category: bool, caption: bool) -> None:
    """Raises WordError at `prompt` for one that cannot be filled, or that is not the only text."""
    if prompt is None:
        return
    if prompt.count("{}") != 1:
        raise WordError(
            f"prompt `{prompt}` has no single place for the category name",
            argument="prompt",
            help="write `{}` once where the name belongs: `a photo of a {}`",
        )
    if caption:
        raise WordError(
            "`caption` and `prompt` both give the field `text`", argument="prompt", help="leave one of them out"
        )
    if not category:
        raise WordError(
            "`prompt` needs categories, whose names it takes", argument="prompt", help="give `category`, or captions"
        )
