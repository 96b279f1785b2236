"""Names whose definitions could not be read.

Takes: what the syntax phase reported. Gives: the names that the declarations at fault would have defined. Guarantees: a
statement that does not parse gives one message, not one more wherever its name is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from m3i_dsl.diagnostics import Diagnostic, Severity

_DEFINITION = re.compile(r"^[ \t]*(param|data|views?|encoder)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)

_OF_FILES = frozenset({"M3I0101", "M3I0102", "M3I0103", "M3I0140"})
"""A used file that could not be read may have defined any name."""


@dataclass(frozen=True, slots=True)
class Unread:
    """`names` are pairs of kind and name; `anything` when a whole file is missing."""

    names: frozenset[tuple[str, str]] = frozenset()
    anything: bool = False

    def and_params(self, names: Iterable[str]) -> Unread:
        """With params whose values were refused, so that nothing is said where they are used."""
        return Unread(self.names | {("param", name) for name in names}, self.anything)

    def may_define(self, kind: str, name: str) -> bool:
        """Whether a definition that could not be read may be that of `name`."""
        return self.anything or (kind, name) in self.names


def unread(diagnostics: Iterable[Diagnostic]) -> Unread:
    """What the faults of syntax in `diagnostics` hide: every name that a file with such a fault seems to define."""
    faults = [diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR]
    files = {id(fault.span.file): fault.span.file for fault in faults}.values()
    names = {(match[1].removesuffix("s"), match[2]) for file in files for match in _DEFINITION.finditer(file.text)}
    return Unread(frozenset(names), any(fault.code in _OF_FILES for fault in faults))
