"""The learning rate, ramps and durations against formulas written out by hand."""

import math

import pytest

from m3i_dsl.runtime.schedule import Every, LearningRate, ramp_at
from m3i_dsl.vocabulary.kinds import WordError
from m3i_dsl.vocabulary.schedules import WORDS, Constant, Cosine, LinearSchedule, Multistep
from m3i_dsl.vocabulary.values import Duration, Ramp, steps_of


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        (Duration(3, "epochs"), 30),
        (Duration(0.25, "epochs"), 2),
        (Duration(400, "steps"), 400),
        (Duration(65, "samples"), 5),
        (Duration(0.1, "%"), 20),
    ],
)
def test_durations_in_steps(duration: Duration, steps: int) -> None:
    assert steps_of(duration, steps_per_epoch=10, batch=16, total=200) == steps


def test_a_share_needs_the_whole() -> None:
    with pytest.raises(ValueError, match="share"):
        steps_of(Duration(0.1, "%"), steps_per_epoch=10, batch=16)


def test_warmup_is_linear_and_no_step_is_idle() -> None:
    rate = LearningRate(warmup=4, total=20, schedule=Cosine())
    assert [rate.factor(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate.factor(4) == 1.0


def test_without_warmup_the_first_step_is_at_the_peak() -> None:
    assert LearningRate(warmup=0, total=20, schedule=Cosine()).factor(0) == 1.0


def test_warmup_as_long_as_training() -> None:
    rate = LearningRate(warmup=5, total=5, schedule=Cosine())
    assert [rate.factor(step) for step in range(5)] == [0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize("step", [4, 9, 13, 19])
def test_cosine_after_warmup(step: int) -> None:
    by_hand = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 4) / 16)) / 2
    assert LearningRate(4, 20, Cosine(floor=0.1)).factor(step) == pytest.approx(by_hand, rel=1e-15)


def test_other_schedules() -> None:
    assert LearningRate(0, 10, Constant()).factor(7) == 1.0
    assert LearningRate(0, 10, LinearSchedule(floor=0.2)).factor(5) == pytest.approx(0.6)
    multistep = Multistep(at=(0.5, 0.8), by=0.1)
    assert [LearningRate(0, 10, multistep).factor(step) for step in (4, 5, 7, 8, 9)] == pytest.approx(
        [1, 0.1, 0.1, 0.01, 0.01]
    )


def test_multistep_refuses_moments_out_of_order() -> None:
    with pytest.raises(WordError, match="ascend") as caught:
        Multistep(at=(0.8, 0.5))
    assert caught.value.argument == "at"


def test_every_schedule_starts_at_the_peak_and_stays_between_0_and_1() -> None:
    for word in WORDS:
        schedule = word(at=(0.5,)) if word is Multistep else word()
        assert schedule.factor(0.0) == 1.0
        assert all(0 <= schedule.factor(i / 50) <= 1 for i in range(51))


@pytest.mark.parametrize("step", [0, 1, 50, 99])
def test_momentum_ramps(step: int) -> None:
    # mu_t = 1 - (1 - mu_0)(1 + cos(pi t / T)) / 2
    cosine = 1 - (1 - 0.996) * (1 + math.cos(math.pi * step / 100)) / 2
    assert ramp_at(Ramp(0.996, 1.0, "cosine"), step, 100) == pytest.approx(cosine, abs=1e-15)
    assert ramp_at(Ramp(0.996, 1.0, "linear"), step, 100) == pytest.approx(0.996 + 0.004 * step / 100, abs=1e-15)
    assert ramp_at(Ramp.constant(0.99), step, 100) == 0.99


def test_every_is_due_at_multiples_and_at_the_end() -> None:
    assert [step for step in range(12) if Every(4, 11).due(step)] == [4, 8, 11]
    assert [step for step in range(12) if Every(None, 11).due(step)] == [11]
