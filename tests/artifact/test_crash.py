"""A compilation that is stopped anywhere leaves the old artifact or the new one, whole."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from m3i_dsl.artifact import load, publish, write
from tests.artifact.contents import contents


class _Killed(BaseException):
    """Stands for the process ending: no handler of the program may catch it."""


_STEPS = ("mkdir", "fsync", "rename", "exchange", "rmtree", "replace")


def _kill_at(monkeypatch: pytest.MonkeyPatch, limit: int) -> list[str]:
    """Ends the writer at its `limit`-th call that touches the disk (before the call). Returns the calls made."""
    made: list[str] = []

    def dying(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if len(made) >= limit:
                raise _Killed(name)
            made.append(name)
            return original(*arguments, **options)

        return call

    monkeypatch.setattr(Path, "mkdir", dying("mkdir", Path.mkdir))
    monkeypatch.setattr(Path, "rename", dying("rename", Path.rename))
    monkeypatch.setattr(Path, "replace", dying("replace", Path.replace))
    monkeypatch.setattr(os, "fsync", dying("fsync", os.fsync))
    monkeypatch.setattr(publish, "_exchange", dying("exchange", publish._exchange))
    # A killed process cleans nothing up: once dead, the clean-up of the writer does nothing either.
    monkeypatch.setattr(publish.shutil, "rmtree", dying("rmtree", publish.shutil.rmtree))
    return made


@pytest.mark.parametrize("can_exchange", [True, False], ids=["swap in one step", "swap in two steps"])
def test_killed_at_each_step(tmp_path: Path, can_exchange: bool) -> None:
    old = contents(tmp_path)
    new = dataclasses.replace(old, graph="# the new one\n")
    seen: set[str] = set()
    steps: set[str] = set()
    for limit in range(1000):
        target = tmp_path / f"run{limit}"
        write(target / "tiny", old, target=target)
        with pytest.MonkeyPatch.context() as patch:
            if not can_exchange:
                patch.setattr(publish, "_exchange", lambda first, second: False)
            made = _kill_at(patch, limit)
            try:
                write(target / "tiny", new, target=target)
                finished = True
            except _Killed:
                finished = False
        steps.update(made)
        graph = load(target / "tiny").graph
        assert graph in (old.graph, new.graph)
        seen.add(graph)
        write(target / "tiny", new, target=target)  # whatever was left behind is no obstacle
        assert load(target / "tiny").graph == new.graph
        assert sorted(path.name for path in target.iterdir() if path.suffix in (".new", ".old")) == []
        if finished:
            break
    else:
        pytest.fail("the writer never finished")
    assert seen == {old.graph, new.graph}
    assert {"fsync", "exchange", "rmtree", "replace"} <= steps <= set(_STEPS)


def test_a_disk_that_refuses_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = contents(tmp_path)
    write(tmp_path / "tiny", old, target=tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "tiny", dataclasses.replace(old, graph="new\n"), target=tmp_path)
    assert load(tmp_path / "tiny").graph == old.graph
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".new")]


def test_the_swap_in_one_step_is_used_where_there_is_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / folder.name).touch()
    if not publish._exchange(first, second):
        pytest.skip("this file system cannot swap two folders")
    assert (first / "second").exists()
    assert (second / "first").exists()
