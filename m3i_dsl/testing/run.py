"""All properties of a recipe, or some.

Takes: a checked program and names. Gives: an outcome for each property, as it is found. Guarantees: a property that
fails does not keep the others from being tested.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from m3i_dsl.semantics.program import Program
from m3i_dsl.testing.case import Edit, case_of
from m3i_dsl.testing.outcome import Outcome, Property, outcome_of
from m3i_dsl.testing.properties import PROPERTIES


class UnknownProperty(Exception):
    """No property has this name; `near` are those that were perhaps meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no property `{name}`")
        self.near = tuple(difflib.get_close_matches(name, [tested.name for tested in PROPERTIES], n=1))


def chosen(only: Sequence[str] = (), skip: Sequence[str] = ()) -> tuple[Property, ...]:
    """The properties called `only` (all when empty) without those called `skip`. Raises UnknownProperty."""
    known = {tested.name for tested in PROPERTIES}
    for name in (*only, *skip):
        if name not in known:
            raise UnknownProperty(name)
    return tuple(tested for tested in PROPERTIES if (not only or tested.name in only) and tested.name not in skip)


def check_properties(
    program: Program, properties: Sequence[Property] = PROPERTIES, *, seed: int = 0, edit: Edit | None = None
) -> Iterator[Outcome]:
    """The outcome of each property for a tiny version of `program`, whose graph `edit` may change.

    Raises WordError and PartFault when a part cannot be built.
    """
    case = case_of(program, seed=seed, edit=edit)
    for tested in properties:
        yield outcome_of(tested, case)
