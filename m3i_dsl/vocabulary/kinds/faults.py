"""What a word says when it cannot do what its arguments ask for.

Takes: a message, perhaps the argument at fault and a help. Gives: an exception that the checker or the command shows at
the place of the word.
"""

from __future__ import annotations


class WordError(Exception):
    """A word whose arguments do not fit what they are used on; becomes a diagnostic at the argument's span.

    `argument` names the argument at fault (None: the word itself), `message` follows the style of diagnostics.
    """

    def __init__(self, message: str, *, argument: str | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.help = help
