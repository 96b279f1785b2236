"""What is said when a training ends, where no command shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from m3i_dsl.modules.boltzmann import SampleBoltzmann
from m3i_dsl.modules.weightings import LikelihoodWeighting
from m3i_dsl.runtime.faults import HUNG, NON_FINITE, TrainingFault
from m3i_dsl.runtime.last_word import LastWord, is_finished
from m3i_dsl.runtime.learned import Learned
from m3i_dsl.runtime.options import Outcome
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from tests.runtime.tiny import IDENTITY, tiny_graph


def word(run: Path, said: list[str]) -> LastWord:
    return LastWord(run, lambda path: f"`go on {path.name}`", said.append)


def notes(run: Path, problem: TrainingFault) -> list[str]:
    with pytest.raises(TrainingFault) as caught, word(run, []):
        raise problem
    return getattr(caught.value, "__notes__", [])


def test_a_step_that_is_not_finite_comes_again(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a-1", IDENTITY) as run:
        (run.checkpoints / "step-000007").mkdir(parents=True)
    (said,) = notes(run.path, TrainingFault(NON_FINITE, "the loss is not finite"))
    assert said.startswith(f"step 7 is saved in `{run.checkpoints}/step-000007`; going on from there would do the same")
    assert "m3ic compile" in said


def test_nothing_saved_is_said(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a-1", IDENTITY) as run:
        pass
    assert notes(run.path, TrainingFault("M3I0706", "full")) == ["no step is saved yet; go on with `go on a-1`"]


def test_processes_that_are_started_again_say_nothing(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a-1", IDENTITY) as run:
        pass
    assert notes(run.path, TrainingFault(HUNG, "rank 1 is gone")) == []


def test_a_run_of_stages_is_named_by_its_own_folder(tmp_path: Path) -> None:
    identity = RunIdentity("r", "f" * 64, {}, ("one", "two"))
    with RunFolder.create(tmp_path / "r-1", identity, None) as run:
        saved = run.path / "stages/1-one/checkpoints/step-000004"
        saved.mkdir(parents=True)
    said: list[str] = []
    with word(run.path, said) as last:
        last.of(Outcome("finished", 4, run.path))  # up to `--until one`
    assert said == [f"step 4 is saved in `{saved}`; go on with `go on r-1`"]
    assert not is_finished(run.path)
    for stage in ("1-one", "2-two"):
        (run.path / "stages" / stage).mkdir(exist_ok=True)
        (run.path / "stages" / stage / "handover.safetensors").touch()
    assert is_finished(run.path)


@pytest.mark.parametrize("summary", ["", "[", "[" * 100_000, "7", '{"step": "x"}', '{"step": 9}'])
def test_a_run_without_a_whole_summary_is_not_finished(summary: str, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a-1", IDENTITY) as run:
        (run.checkpoints / "step-000007").mkdir(parents=True)
        run.summary.write_text(summary)
    assert not is_finished(run.path)
    run.summary.write_text('{"step": 7}')
    assert is_finished(run.path)


def test_learned_numbers_have_the_names_of_targets() -> None:
    program = tiny_graph().program
    (objective,) = program.objectives
    targets = [f"{objective.name}.{target.name}" for target in objective.targets]
    weighting = LikelihoodWeighting(["gaussian"] * len(targets), [1.0] * len(targets))
    with torch.no_grad():
        weighting.s.copy_(torch.arange(len(targets)) + 3.5)
    loss = SampleBoltzmann(0.07, learned=True)
    fixed = SampleBoltzmann(0.2)
    first = f"{objective.name}_{objective.targets[0].name}"
    module = nn.ModuleDict(
        {
            "likelihoods": nn.ModuleDict({first: loss, "another": fixed}),
            "weightings": nn.ModuleDict({objective.name: weighting}),
        }
    )
    expected = {f"{targets[0]}.temperature": 0.07}
    expected |= {f"{name}.log_variance": min(4.0, 3.5 + place) for place, name in enumerate(targets)}
    assert Learned(module, program).values() == pytest.approx(expected)
