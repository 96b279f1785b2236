"""What a kind of input is, and how a case may end.

Takes: an empty folder. Gives: cases, one after another, each a function of its source of chance. Guarantees: a case
returns how it has ended, in a word that the table counts; whatever else it does is a finding.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.vocabulary.kinds import WordError

EQUAL = "equal"
"""What was read is what was read before the change."""

REFUSED = "refused"
"""Nothing was read: a coded message says why."""

COUNTED = "counted"
"""Some samples were left out and named; the others are as before."""

NOTICED = "noticed"
"""Something else is read, and the fingerprint that a compiled recipe keeps is another one."""

OTHER = "another"
"""It is another good input of its kind, and is read as that."""

REFUSALS = (RecipeError, TrainingFault, WordError)


class Finding(Exception):
    """Something that may not be, in words."""


class Kind(ABC):
    """One kind of input. `ends` is how its cases may end."""

    name: ClassVar[str]
    what: ClassVar[str]
    """What is changed, for the table."""

    def __init__(self, folder: Path) -> None:
        """Writes what the cases change, below `folder`."""
        self.folder = folder

    @abstractmethod
    def case(self, chance: random.Random) -> str:
        """One case: how it has ended. Raises Finding, and whatever the product lets through."""


def internal(codes: list[str]) -> None:
    """Raises Finding for a message that says of itself that it is a fault of m3ic."""
    for code in codes:
        if code.startswith("M3I09"):
            raise Finding(f"an internal error, {code}")


def codes_of(fault: Exception) -> list[str]:
    """The codes of a refusal."""
    if isinstance(fault, RecipeError):
        return [diagnostic.code for diagnostic in fault.diagnostics]
    return [fault.code] if isinstance(fault, TrainingFault) else []


def refused(fault: Exception) -> str:
    """How a case ends that was refused with `fault`. Raises Finding for a refusal that is an internal error."""
    internal(codes_of(fault))
    return REFUSED
