"""The lines of `metrics.jsonl`, as whoever shows a run reads them.

Takes: the file of a record. Gives: its events, and what is said of lines that are none. Guarantees: every event that is
given has the fields of its kind with values of their type, so that no reader meets another; a line that a later version
adds, and a last one without its end, are passed over; one damaged line hides no other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from m3i_dsl.runtime.faults import DAMAGED_RECORD, Notice

Event = Mapping[str, Any]
_Test = Callable[[Any], bool]

_STEP = b'{"event": "step"'
"""How a line of a step begins: there are so many that a list of runs reads the last ones only."""


class Events:
    """The events of a record in order. `damage` is what is said of lines that were left out, None of a whole record."""

    def __init__(self, path: Path, *, last_steps: bool = False) -> None:
        """`last_steps` reads only the last of neighbouring logged steps. A file that is not there has no events."""
        self._path = path
        self._damaged: list[tuple[int, str]] = []
        self._unreadable: str | None = None
        self.all = tuple(self._read(last_steps))

    @property
    def damage(self) -> Notice | None:
        help_ = "the checkpoints have checksums of their own and are not concerned; look at the disk"
        if self._unreadable is not None:
            return Notice(DAMAGED_RECORD, f"`{self._path}` cannot be read: {self._unreadable}", helps=(help_,))
        if not self._damaged:
            return None
        (line, why), *others = self._damaged
        more = f", and {len(others)} other lines" if others else ""
        notes = ("what is damaged is left out of tables and curves",)
        return Notice(DAMAGED_RECORD, f"`{self._path}`, line {line}: {why}{more}", notes, (help_,))

    def _read(self, last_steps: bool) -> Iterator[Event]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as problem:
            self._unreadable = problem.strerror or str(problem)
            return
        waiting: tuple[int, bytes] | None = None
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break  # the writer has not finished it, or was killed
            if last_steps and line.startswith(_STEP):
                waiting = number, line
                continue
            yield from self._parsed(waiting)
            waiting = None
            yield from self._parsed((number, line))
        yield from self._parsed(waiting)

    def _parsed(self, numbered: tuple[int, bytes] | None) -> Iterator[Event]:
        if numbered is None:
            return
        number, line = numbered
        try:
            event = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError):
            self._damaged.append((number, "it is not JSON"))
            return
        why = _fault(event)
        if why is None:
            yield event
        elif why:
            self._damaged.append((number, why))


def _fault(event: Any) -> str | None:
    """What is wrong with an event; None: nothing, empty: it is of a kind that is not known here."""
    if not isinstance(event, dict):
        return "it is not an event"
    fields = cast(dict[str, Any], event)
    kind = fields.get("event")
    if not isinstance(kind, str):
        return "it does not say of which event it is"
    if kind not in _KINDS:
        return ""
    required, optional = _KINDS[kind]
    for name, test in required.items():
        if name not in fields:
            return f"`{kind}` has no `{name}`"
        if not test(fields[name]):
            return f"`{name}` of `{kind}` cannot be what it is"
    return next(
        (f"`{name}` of `{kind}` cannot be what it is" for name, test in optional.items() if not test(fields.get(name))),
        None,
    )


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _or_none(test: _Test) -> _Test:
    return lambda value: value is None or test(value)


def _each(test: _Test) -> _Test:
    return lambda value: isinstance(value, dict) and all(map(test, cast(dict[str, Any], value).values()))


def _measure(value: Any) -> bool:
    return isinstance(value, dict) and _all_texts(cast(dict[str, Any], value).values()) and "name" in value


def _all_texts(values: Iterable[Any]) -> bool:
    return all(map(_text, values))


def _memory(value: Any) -> bool:
    return _each(_or_none(_count))(value) and value.get("host") is not None


_ALWAYS: dict[str, _Test] = {"step": _count, "time": _number, "epoch": _number}
_RATES = ("images_per_second", "mfu", "data_wait", "checkpoint_stall", "learning_rate", "gradient_norm")
_KINDS: dict[str, tuple[dict[str, _Test], dict[str, _Test]]] = {
    "start": (
        {**_ALWAYS, "total": _count, "batch": _count, "world_size": _count, "restarts": _count},
        {"device": _or_none(_text)},
    ),
    "step": (
        {**_ALWAYS, "loss": _or_none(_number), "losses": _each(_or_none(_number))},
        {
            **dict.fromkeys(_RATES, _or_none(_number)),
            **dict.fromkeys(("monitors", "weights", "learned"), _or_none(_each(_or_none(_number)))),
            "memory": _or_none(_memory),
        },
    ),
    "evaluation": ({**_ALWAYS, "results": _each(_or_none(_number))}, {"measures": _or_none(_each(_measure))}),
    "warning": ({**_ALWAYS, "code": _text, "message": _text}, {}),
    "stop": ({**_ALWAYS, "status": _text, "reason": _text}, {}),
}
"""By event: the fields that it must have, and those that it may have."""
