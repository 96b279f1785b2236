"""Random changes of what people's files hold.

Takes: a source of chance and what is there. Gives: what is there instead. Guarantees: a function of the chance alone;
mostly one change, sometimes several, for one change alone passes checks that several hide from each other.
"""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

MOST = 8
"""Changes of one case."""

_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?(?:e-?\d+)?[%A-Za-z]*|\s+|.", re.DOTALL)

WICKED_NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)

WICKED_WORDS = (
    "0", "-1", "1e400", "1e-400", "99999999999999999999", "0.0000001", "0%", "101%", "1e9px", "0px", "nan", "inf", '""',
    '"\\u0000"', "\x00", "\x1b[31m", "\u202e", "\ufeff", "{", "}", "(", ")", "..", "->", "#", '"', "\r", "first", "of",
    "(" * 300, "{" * 300, "a" * 5000, '"' + "/" * 5000 + '"',
)  # fmt: skip

WICKED_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**63, 10**400, 1e308, float("nan"), float("-inf"), "", "\0", "\x1b[2J",
    "../../etc/passwd", "a" * 5000,
    [], {}, [[]], [None], {"": None}, "1",
)  # fmt: skip


def times(chance: random.Random) -> int:
    """How many changes a case has."""
    return 1 if chance.random() < 0.7 else chance.randint(2, MOST)


# --- bytes ------------------------------------------------------------------------------------------------------------


def changed_bytes(chance: random.Random, content: bytes, others: Sequence[bytes] = (), unit: int = 1) -> bytes:
    """`content` after a few changes; pieces of `others` are spliced in. Places are multiples of `unit` at times."""
    found = bytearray(content)
    for _ in range(times(chance)):
        change = chance.choice(_CHANGES)
        step = unit if chance.random() < 0.5 else 1
        found = change(chance, found, others or (content,), step)
    return bytes(found)


Change = Callable[[random.Random, bytearray, Sequence[bytes], int], bytearray]


def _range(chance: random.Random, length: int, step: int) -> tuple[int, int]:
    """A short range mostly, a long one at times."""
    first = chance.randrange(length // step + 1) * step
    size = chance.choice((1, 2, 4, 16, 100, length)) * step
    return first, min(length, first + size)


def _flip(chance: random.Random, found: bytearray, _: Sequence[bytes], __: int) -> bytearray:
    if found:
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return found


def _byte(chance: random.Random, found: bytearray, _: Sequence[bytes], __: int) -> bytearray:
    if found:
        found[chance.randrange(len(found))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return found


def _number(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    size, letter = chance.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    value = chance.choice(WICKED_NUMBERS) % (1 << 8 * size)
    at = chance.randrange(len(found) // step + 1) * step
    found[at : at + size] = struct.pack(chance.choice("<>") + letter, value)
    return found


def _delete(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    first, end = _range(chance, len(found), step)
    del found[first:end]
    return found


def _zero(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    first, end = _range(chance, len(found), step)
    found[first:end] = bytes(end - first)
    return found


def _twice(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    first, end = _range(chance, len(found), step)
    found[end:end] = found[first:end]
    return found


def _swap(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    first, end = _range(chance, len(found), step)
    other, stop = _range(chance, len(found), step)
    one, two = found[first:end], found[other:stop]
    return bytearray(bytes(found[:first]) + bytes(two) + bytes(found[end:other]) + bytes(one) + bytes(found[stop:]))


def _cut(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    del found[chance.randrange(len(found) // step + 1) * step :]
    return found


def _spliced(chance: random.Random, found: bytearray, others: Sequence[bytes], step: int) -> bytearray:
    other = chance.choice(others)
    first, end = _range(chance, len(other), step)
    at = chance.randrange(len(found) // step + 1) * step
    stop = at + chance.choice((0, end - first))
    found[at:stop] = other[first:end]
    return found


def _noise(chance: random.Random, found: bytearray, _: Sequence[bytes], step: int) -> bytearray:
    first, end = _range(chance, len(found), step)
    found[first:end] = chance.randbytes(end - first)
    return found


_CHANGES: tuple[Change, ...] = (
    _flip, _flip, _byte, _byte, _number, _delete, _zero, _twice, _swap, _cut, _spliced, _noise,
)  # fmt: skip


# --- texts ------------------------------------------------------------------------------------------------------------


def changed_text(chance: random.Random, text: str, others: Sequence[str]) -> str:
    """`text` with some of its words or lines left out, doubled, moved, or replaced, also by those of `others`."""
    for _ in range(times(chance)):
        by_line = chance.random() < 0.35
        parts = text.splitlines(keepends=True) if by_line else _TOKEN.findall(text)
        other = chance.choice(others)
        donors = other.splitlines(keepends=True) if by_line else _TOKEN.findall(other)
        if not parts or not donors:
            return text
        at = chance.randrange(len(parts))
        end = min(len(parts), at + chance.choice((1, 1, 1, 2, 8)))
        match chance.randrange(7):
            case 0:
                del parts[at:end]
            case 1:
                parts[end:end] = parts[at:end]
            case 2:
                moved = parts[at:end]
                del parts[at:end]
                there = chance.randrange(len(parts) + 1)
                parts[there:there] = moved
            case 3:
                parts[at] = chance.choice(donors)
            case 4:
                first = chance.randrange(len(donors))
                parts[at:end] = donors[first : first + chance.choice((1, 3, 20))]
            case 5:
                parts[at] = chance.choice(WICKED_WORDS)
            case _:
                parts[at:at] = [chance.choice(WICKED_WORDS)]
        text = "".join(parts)
    return text


# --- JSON -------------------------------------------------------------------------------------------------------------


def changed_json(chance: random.Random, text: str) -> str:
    """`text`, a document, with some of its values or names exchanged, left out or doubled, and written as before."""
    document = json.loads(text)
    for _ in range(times(chance)):
        holders = list(_holders(document))
        if not holders:
            return json.dumps(_wicked(chance))
        holder: Any = chance.choice(holders)
        key: Any = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match chance.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(_wicked(chance))[:50]] = holder.pop(key)
            case 2:
                holder[key] = _near(chance, holder[key])
            case 3:
                other: Any = chance.choice(holders)
                holder[key] = copy.deepcopy(other)
            case _:
                holder[key] = _wicked(chance)
    return json.dumps(document)


def _wicked(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(WICKED_VALUES))  # it may be changed itself


def _near(chance: random.Random, value: Any) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + chance.choice((1, -1, 10, 2**31))
    if isinstance(value, float):
        return value * chance.choice((-1.0, 2.0, 1e300))
    if isinstance(value, str) and value:
        at = chance.randrange(len(value))
        return value[:at] + chance.choice(("", "x", "\n", "/")) + value[at + 1 :]
    return value


def _holders(value: Any) -> list[Any]:
    """All objects and lists in a document that hold something."""
    found: list[Any] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list) and one:
            found.append(one)
            waiting.extend(one.values() if isinstance(one, dict) else one)
    return found
