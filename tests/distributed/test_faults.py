"""A fault or a signal of one rank is one of the run: all end alike, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.distributed.processes import ONE_WORKER, run
from tests.distributed.training import Ended, Fault, trained

pytestmark = ONE_WORKER

LAST = 20
"""Steps of the tiny recipe."""


def together(path: Path, fault: Fault, **settings: object) -> list[Ended]:
    return run(_trained, path, fault, settings)


def _trained(path: Path, fault: Fault, settings: dict[str, bool]) -> Ended:
    return trained(path, fault, size=2, **settings)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """What one process trains without any fault."""
    return trained(tmp_path_factory.mktemp("one") / "run", Fault(), rank=0, evaluate=True)


def same(found: Ended, expected: Ended, *, exactly: bool = False) -> None:
    assert found.step == expected.step == LAST
    for name, tensor in expected.state.items():
        tolerance = 0.0 if exactly else 1e-12
        torch.testing.assert_close(found.state[name], tensor, rtol=tolerance, atol=tolerance)


def test_two_processes_train_what_one_does(tmp_path: Path, whole: Ended) -> None:
    first, second = together(tmp_path / "run", Fault(), evaluate=True)
    same(first, whole)
    same(second, first, exactly=True)
    assert first.results == second.results == {"steps": LAST}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path: Path, rank: int, whole: Ended) -> None:
    stopped = together(tmp_path / "run", Fault("term", rank, 6))
    assert [(one.step, one.exit_code) for one in stopped] == [(7, 75), (7, 75)]
    assert any("stopped by SIGTERM after step" in text for text in stopped[0].said)
    again = together(tmp_path / "run", Fault(), resume=True)
    undisturbed = together(tmp_path / "other", Fault())
    same(again[0], undisturbed[0], exactly=True)
    same(again[0], whole)


def test_a_signal_while_a_rank_waits_for_data_stops_all_after_that_step(tmp_path: Path) -> None:
    stopped = together(tmp_path / "run", Fault("usr1 while waiting", 1, 6))
    assert [(one.step, one.exit_code) for one in stopped] == [(7, 75), (7, 75)]
    assert any("stopped by SIGUSR1 after step 7" in text for text in stopped[0].said)


def test_a_signal_cuts_an_evaluation_short_which_is_made_on_resuming(tmp_path: Path, whole: Ended) -> None:
    stopped = together(tmp_path / "run", Fault("term while evaluating", 0, 8), evaluate=True)
    assert [(one.step, one.exit_code) for one in stopped] == [(8, 75), (8, 75)]
    record = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"results": {"steps": 4.0}' in record and '"results": {"steps": 8.0}' not in record
    again = together(tmp_path / "run", Fault(), resume=True, evaluate=True)
    same(again[0], whole)
    assert '"results": {"steps": 8.0}' in (tmp_path / "run" / "metrics.jsonl").read_text()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_number_that_is_not_finite_on_one_rank_moves_no_weight_on_any(tmp_path: Path, rank: int) -> None:
    ended = together(tmp_path / "run", Fault("nan", rank, 5))
    assert [one.exit_code for one in ended] == [1, 1]
    (told,) = ended[0].told
    assert told == "M3I0701: the loss of target `m3i.inter` is not finite at step 6"
    assert ended[1].told == (f"M3I0731: rank 0 cannot go on: {told.removeprefix('M3I0701: ')}",)
    for name, tensor in ended[0].state.items():
        assert torch.isfinite(tensor).all() and torch.equal(tensor, ended[1].state[name]), name
    # The state before that step was kept, and goes on as if nothing had been.
    again = together(tmp_path / "run", Fault(), resume=True)
    same(again[0], together(tmp_path / "other", Fault())[0], exactly=True)
