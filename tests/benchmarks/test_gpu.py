"""The session on a GPU: its pieces tried without one, its order, limits and lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import torch

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.session import PIECE, SESSION, Found, Piece, in_a_process, run_session
from benchmarks.gpu.throughput import build, compile_side
from benchmarks.speed.size import SIZES

DRY = [piece for piece in SESSION if "--compile" not in piece.command]
"""Without content there is nothing to compile: such a piece is the one without."""


@pytest.mark.parametrize("piece", DRY, ids=lambda piece: piece.name)
def test_the_dry_run_of_every_piece(piece: Piece, capsys: pytest.CaptureFixture[str]) -> None:
    smaller = () if PIECE in piece.command else ("--batch", "2")
    assert main([*piece.command, *smaller, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) if PIECE in piece.command else lines[-1].startswith("| ")


def test_a_prefix_of_a_session_is_worth_having() -> None:
    """A piece that fails, hangs or no longer fits costs no other; each has a line."""
    given: list[tuple[tuple[str, ...], float]] = []

    def start(command: Sequence[str], limit: float) -> Found:
        given.append((tuple(command), limit))
        match command[0]:
            case "late":
                raise TimeoutError
            case "wrong":
                raise AssertionError("the loss is not finite")
            case _:
                return {"loss": 1.5}

    pieces = [Piece(name, limit, (name,)) for name, limit in (("late", 10), ("wrong", 15), ("good", 15), ("long", 900))]
    lines = [json.loads(line) for line in run_session(19, start, pieces=pieces)]
    assert [line["outcome"] for line in lines] == ["too long", "failed", "passed", "left out"]
    assert lines[1]["found"] == {"problem": "the loss is not finite"} and lines[2]["found"] == {"loss": 1.5}
    assert [command for command, _ in given] == [("late",), ("wrong",), ("good",)]
    assert all(limit <= 15 for _, limit in given)


def test_a_piece_is_a_process_with_a_limit() -> None:
    assert "torch" in str(in_a_process((PIECE, "machine", "--dry-run"), 300)["versions"])
    with pytest.raises(TimeoutError):
        in_a_process((PIECE, "machine", "--dry-run"), 0.01)
    with pytest.raises(AssertionError, match="no piece 'nothing'"):
        in_a_process((PIECE, "nothing", "--dry-run"), 300)


def test_both_sides_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of encoder and decoder, on either side."""
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
    _, sides = build("mae", SIZES["tiny"], "cpu")
    assert compile_side(sides.ours()) == compile_side(sides.by_hand()) > 2


def test_throughput_is_counted_on_meta_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry-run", "--model", "base", "--only", "supervised", "--batch", "2"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    counted = float(row.split("|")[4])
    tokens, depth, width = 197, 12, 768
    forward = 24 * tokens * depth * width**2 + 4 * tokens**2 * depth * width + 2 * 196 * 768 * width + 2 * width * 10
    assert counted == pytest.approx(3 * forward / 1e9, rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--dry-run" in capsys.readouterr().err
