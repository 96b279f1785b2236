"""When a run is said to wait for its data."""

from m3i_dsl.runtime.faults import Notice
from m3i_dsl.runtime.reporting.waiting import DataWaitMonitor


def warnings(
    shares: list[float], *, seconds: float = 10.0, rank: int | None = None, limit: float = 0.2
) -> list[Notice]:
    monitor = DataWaitMonitor(2, limit)
    return [notice for share in shares if (notice := monitor.observe(share, seconds, rank))]


def test_a_lasting_wait_is_told_once_with_the_setting_to_change() -> None:
    (notice,) = warnings([0.9, 0.3, 0.4, 0.5, 0.6, 0.6], rank=5)
    assert notice.code == "M3I0740"
    assert notice.message == "training waits for data 40% of the time on rank 5", "the first window is the start"
    assert notice.notes[0].startswith("in the last 30 seconds; above 20%")
    assert notice.notes[1].startswith("`--workers` is 2; this process may use ")
    assert "m3ic train --resume --workers N" in notice.helps[0]


def test_a_pause_of_the_storage_is_no_episode() -> None:
    assert warnings([0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.1]) == []
    assert warnings([0.9, 0.9, 0.9, 0.9, 0.9], seconds=1.0) == [], "it lasts four seconds"
    assert len(warnings([0.0, *23 * [0.9]], seconds=1.0)) == 1


def test_another_episode_is_told_again_once_data_was_there_in_time() -> None:
    waits, hovers, flows = 3 * [0.5], [0.15], [0.05]
    assert len(warnings([0.0, *waits, *hovers, *waits])) == 1
    assert len(warnings([0.0, *waits, *flows, *waits])) == 2


def test_the_limit_is_that_of_the_device() -> None:
    assert warnings([0.0, *5 * [0.4]], limit=0.5) == []
    assert "above 50%" in warnings([0.0, *5 * [0.6]], limit=0.5)[0].notes[0]
