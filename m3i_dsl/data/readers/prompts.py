"""Texts made from the names of categories.

Takes: a prompt that the source's word has checked, and a category. Gives: the text.
"""

from __future__ import annotations


def filled(prompt: str, category: str) -> str:
    """The prompt for a category; `_` of a folder's name is read as a space."""
    return prompt.replace("{}", category.replace("_", " "))
