"""A pytest session that plants faults: which tests reach each, and which of those fails with it.

Takes: faults behind switches (sites.py). Gives: for each, the test that noticed it. Guarantees: each run of tests is in
a process of its own, forked from one in which everything is imported and nothing has run, so that no cache carries a
result from one fault to the next.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from tests.planted.sites import SWITCH, Site, planted

WIDTH = 100
"""Characters of a statement that are shown."""

LIMIT_SECONDS = 120.0
"""Tests that take longer with a fault than this have noticed it."""


class Plants:
    """Finds the named files before Python does, and loads them with their faults."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.sites: list[Site] = []
        self.code: dict[str, CodeType] = {}
        self.reached: set[int] = set()
        self.on: int | None = None
        for path in files:
            tree, sites = planted(path, len(self.sites))
            self.sites += sites
            self.code[str(path)] = compile(tree, str(path), "exec", dont_inherit=True)
        setattr(builtins, SWITCH, self._asked)

    def _asked(self, number: int) -> bool:
        self.reached.add(number)
        return number == self.on

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin not in self.code:
            return None
        spec.loader = _Loader(name, spec.origin, self.code[spec.origin])
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


@dataclass
class Reach:
    """What a run without a fault found: which sites each test reached, in how many seconds, and what was imported."""

    sites: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


class Planting:
    """The plugin: in place of running the collected tests, runs those that matter with each fault."""

    def __init__(self, plants: Plants, say: Callable[[str], None]) -> None:
        self.plants = plants
        self.noticed: dict[int, str] = {}
        self.reach = Reach()
        self._say = say
        self._failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        self._say(f"{len(self.plants.sites)} faults, {len(items)} tests")
        found = forked(lambda: asdict(self._trace(items)), 3600)
        assert isinstance(found, dict), "the tests without a fault did not end"
        reach = self.reach = Reach(**found)
        for name in reach.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        for number, site in enumerate(self.plants.sites):
            tests = [index for index, sites in enumerate(reach.sites) if number in sites]
            tests.sort(key=reach.seconds.__getitem__)
            those = [items[index] for index in tests]
            failure = forked(lambda n=number, t=those: self._first_failure(n, t), LIMIT_SECONDS) if tests else None
            if failure is not None:
                self.noticed[number] = str(failure)
            mark = self.noticed.get(number) or f"NOT NOTICED by the {len(tests)} tests that reach it"
            self._say(f"{site.path.name}:{site.line}: {site.what[:WIDTH]}\n    {mark}")
        return True

    def _run(self, items: list[pytest.Item], index: int) -> bool:
        """Whether a test fails."""
        self._failed = False
        after = items[index + 1] if index + 1 < len(items) else None
        items[index].ihook.pytest_runtest_protocol(item=items[index], nextitem=after)
        return self._failed

    def _trace(self, items: list[pytest.Item]) -> Reach:
        reach = Reach()
        for index, item in enumerate(items):
            self.plants.reached = set()
            start = time.monotonic()
            if self._run(items, index):
                reach.failed.append(item.nodeid)
            reach.seconds.append(time.monotonic() - start)
            reach.sites.append(sorted(self.plants.reached))
        reach.modules = [name for name in sorted(sys.modules) if name.startswith("m3i_dsl.") or name == "torch"]
        return reach

    def _first_failure(self, number: int, items: list[pytest.Item]) -> str | None:
        self.plants.on = number
        for index, item in enumerate(items):
            if self._run(items, index):
                return item.nodeid
        return None


def forked(function: Callable[[], object], limit: float) -> object:
    """What `function` returns, of JSON, in a process of its own; a text when that dies or takes `limit` seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reading)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        status = 1
        try:
            result = json.dumps(function()).encode()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(result)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    answer = b""
    ends = time.monotonic() + limit
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, ends - time.monotonic()))[0]:
            some = pipe.read(1 << 16)
            if not some:
                break
            answer += some
        else:
            os.killpg(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        return json.loads(answer)
    return "a test that does not end" if os.WIFSIGNALED(status) else "the process, which ends"
