"""What a recording tool is given.

Takes: nothing. Gives: the protocol of a sink and the description of a run that it starts with. Guarantees: a sink knows
its identity in the other tool from `<run>/sinks.json`, so that a resumed run goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from m3i_dsl.runtime.run_folder import run_name, write_json

Status = Literal["finished", "stopped", "partial", "failed"]

IDENTITIES = "sinks.json"


@dataclass(frozen=True, slots=True)
class Description:
    """A run for other tools. `configuration` has what the recipe says, by dotted name, and the versions."""

    folder: Path
    recipe: str
    first_step: int
    configuration: Mapping[str, Any]

    @property
    def name(self) -> str:
        return run_name(self.folder)

    def identity(self, sink: str) -> str | None:
        """What this run is called in the other tool, None when it has not been there."""
        path = self.folder / IDENTITIES
        if not path.is_file():
            return None
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known.get(sink)

    def keep_identity(self, sink: str, identity: str) -> None:
        """Raises OSError."""
        path = self.folder / IDENTITIES
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"schema": 1}
        write_json(path, {**known, sink: identity})


class Sink(Protocol):
    """A tool in which the run is open. Methods may raise anything: `fan.py` takes care."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def finish(self, status: Status) -> None: ...


Start = Callable[[Description], Sink]
