"""A command that needs a package which is not installed.

Takes: the fault of an import. Gives: what is said about it. Guarantees: only packages that an extra of m3ic names are
said to be missing; anything else that cannot be imported is a fault of the program.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import TextIO

from m3i_dsl.runtime.faults import Notice

CODE = "M3I0720"

_IMPORTED_AS = {"PIL": "pillow", "sklearn": "scikit-learn", "lsprotocol": "pygls"}
"""Where the module is called otherwise than the distribution that an extra names."""

_REQUIREMENT = re.compile(r"""(?P<name>[A-Za-z0-9._-]+)[^;]*;.*extra\s*==\s*['"](?P<extra>[\w-]+)['"]""")

_OF_DEVELOPERS = "dev"


def missing_extra(fault: ModuleNotFoundError) -> tuple[str, str] | None:
    """The distribution that is missing and the extra that brings it; None where no extra does."""
    module = (fault.name or "").partition(".")[0]
    distribution = _IMPORTED_AS.get(module, module)
    for requirement in importlib.metadata.requires("m3ic") or ():
        found = _REQUIREMENT.match(requirement)
        if found and found["name"] == distribution and found["extra"] != _OF_DEVELOPERS:
            return distribution, found["extra"]
    return None


def say(command: str, distribution: str, extra: str, to: TextIO) -> None:
    """What is missing, and the line that installs it."""
    message = f"`m3ic {command}` needs {distribution}, which is not installed"
    print(Notice(CODE, message, helps=(f'run `pip install "m3ic[{extra}]"`',)).text("error"), file=to)
