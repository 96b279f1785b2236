"""Levels: which lints are left out, and which count as errors.

Takes: codes of lints, or their names, from the command line. Gives: diagnostics with the levels that were asked for.
Guarantees: only lints (08xx) have a level that can be set; an error is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from m3i_dsl.diagnostics.catalogue import codes
from m3i_dsl.diagnostics.model import Diagnostic, Severity

LINT = "M3I08"


class NotALint(Exception):
    """A code or name whose level cannot be set; the message says why."""


@dataclass(frozen=True, slots=True)
class Levels:
    """`ignored` lints are not shown, `denied` ones are errors; a lint that is both is not shown."""

    ignored: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    def apply(self, diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
        """The diagnostics to show."""
        for diagnostic in diagnostics:
            if diagnostic.code in self.ignored:
                continue
            if diagnostic.code in self.denied:
                yield replace(diagnostic, severity=Severity.ERROR)
            else:
                yield diagnostic


def lint_code(text: str) -> str:
    """The code that a user means by `M3I0806` or `unused`. Raises NotALint."""
    by_name = {code.name: code.code for code in codes().values()}
    code = by_name.get(text, text.upper())
    if code not in codes():
        lints = [known.name for known in codes().values() if known.code.startswith(LINT)]
        raise NotALint(f"there is no lint `{text}`; the lints are {', '.join(f'`{name}`' for name in lints)}")
    if not code.startswith(LINT):
        raise NotALint(f"{code} is an error, and stays one; only lints ({LINT}xx) have a level")
    return code
