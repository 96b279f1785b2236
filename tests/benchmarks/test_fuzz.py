"""A few inputs of each kind, changed at random: no finding. Many of them: `python -m benchmarks.fuzz --count 10000`."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.fuzz.kept import keep, kept
from benchmarks.fuzz.kind import EQUAL, Finding, Kind
from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.page import page
from benchmarks.fuzz.process import Ended, Found, once, run

CASES = 12


@pytest.mark.parametrize("name", KINDS)
def test_no_finding(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3IC_CACHE", str(tmp_path / "cache"))
    ready = KINDS[name](tmp_path)
    ends = {once(ready, 0, number) for number in range(CASES)}
    assert len(ends) > 1, "whatever is changed ends in the same way: nothing is compared"


class Bad(Kind):
    """Cases that end as they may not."""

    name = "bad"
    what = "nothing"

    def case(self, chance: random.Random) -> str:
        match int(chance.random() * 5):
            case 0:
                raise Finding("silent")
            case 1:
                raise KeyError("key")
            case 2:
                os._exit(3)
            case 3:
                bytearray(16 << 30)
            case _:
                pass
        return EQUAL


def test_every_bad_end_is_a_finding_and_the_next_case_follows() -> None:
    ended = run(Bad, 0, range(20))
    assert ended.count == 20 and ended.ways[EQUAL] > 0
    texts = {finding.text for finding in ended.findings}
    assert {"silent", "its process has died (exit code 3)"} <= texts
    assert any(text.startswith("KeyError: 'key'") for text in texts)
    assert any(text.startswith("MemoryError") for text in texts)
    text = page([ended], "python -m benchmarks.fuzz bad", 0)
    assert f"**{len(ended.findings)}**" in text
    assert f"`python -m benchmarks.fuzz bad --seed 0 --only {ended.findings[0].number}`" in text


def test_kinds_that_were_run_one_by_one_make_one_page(tmp_path: Path) -> None:
    shards = Ended("shards", "tar", Counter({EQUAL: 3}), [Found(4, "silent")], 1.5)
    images = Ended("images", "pixels", Counter({EQUAL: 5}))
    keep(images, tmp_path)
    keep(Ended("shards", "tar"), tmp_path)
    keep(shards, tmp_path)
    assert kept(tmp_path) == [shards, images]
