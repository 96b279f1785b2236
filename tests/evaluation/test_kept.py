"""Features that are kept: in memory or in a file, exact, and only their own bytes are sent."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import torch

from m3i_dsl.evaluation import kept
from m3i_dsl.evaluation.kept import Features
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.vocabulary.kinds import Lone

PLACES = [range(0, 256), range(256, 512), range(512, 512), range(512, 700)]


def features(rows: torch.Tensor) -> Features:
    found = Features()
    for number in (0, 1, 3):
        found.add(number, rows[PLACES[number].start : PLACES[number].stop])
    return found


class Measuring(Lone):
    """Counts what processes would send: the storage of a tensor, all of it."""

    sent = 0

    def gathered(self, value: Any) -> list[Any]:
        self.sent += 0 if value is None else value.untyped_storage().nbytes()
        return [value]


@pytest.mark.parametrize("limit", [2**20, 256 * 5 * 4, 0], ids=["memory", "both", "file"])
def test_parts_are_what_was_kept_wherever_they_lie(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(kept, "IN_MEMORY", limit)
    rows = torch.randn(700, 5)
    found = features(rows)
    assert (found.values, found.width, found.numbers) == (3500, 5, [0, 1, 3])
    for number, part in found:
        assert torch.equal(part, rows[PLACES[number].start : PLACES[number].stop])
    team = Measuring()
    assert torch.equal(found.whole(team, PLACES), rows)
    assert team.sent == rows.nbytes, "and not the memory around them"


def test_a_full_disk_is_said_with_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept, "IN_MEMORY", 0)
    monkeypatch.setattr(kept.tempfile, "TemporaryFile", full)
    with pytest.raises(TrainingFault, match=r"the features of an evaluation, in `.*`, cannot be written") as caught:
        features(torch.randn(700, 5))
    assert caught.value.code == "M3I0706"
