"""Words of others in the plan: what their modules send is counted, and must be what they declare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl import plan
from m3i_dsl.cli.main import main
from m3i_dsl.collectives import gather, mean, total, world
from m3i_dsl.plan.communication import disagreements
from m3i_dsl.plan.declared import effect_faults, modules_of
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.traffic import Traffic, World, traffic_of
from m3i_dsl.vocabulary import registry, regularizations
from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.word import PURE, Effect
from tests.distributed.invariance import VARIANTS, case_named
from tests.plan.programs import RECIPES, Planned, planned
from tests.plan.test_dry_run import sent

PLAN = Path(plan.__file__).parent

A_DEVICE, WIDTH, CALLS = 4, 64, 2
"""Samples, the channels of a prediction, and the two directions of BYOL."""

WORLD = 8
TINY = {"width": "24", "depth": "1"}
COUPLED, COLLECTIVE = frozenset({Effect.BATCH_COUPLED}), frozenset({Effect.COLLECTIVE})


class SpreadLoss(nn.Module):
    """Repels each prediction from those of all processes; in a large world from their mean only."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        if world().size > WORLD:
            return (prediction * mean(prediction.mean(0))).sum(1).mean()
        return (prediction @ gather(prediction).T).mean()


class OwnSpreadLoss(nn.Module):
    """The same, of this process's rows: another loss for each number of processes."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction @ prediction.T).mean()


class _AskAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad * total(grad.square().sum()).clamp(max=1)


class BackwardLoss(nn.Module):
    """Communicates in its backward pass only."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        asked: Tensor = _AskAll.apply(prediction)  # pyright: ignore[reportAssignmentType]
        return asked.square().mean()


@dataclass(frozen=True, slots=True)
class Spread(Regularization):
    """A word of another package. Our choice."""

    name = "spread"
    penalizes = True
    effects = COUPLED
    module: ClassVar[type[nn.Module]] = SpreadLoss

    def build(self) -> nn.Module:
        return self.module()


@pytest.fixture(autouse=True)
def _spread(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(regularizations, "WORDS", (*regularizations.WORDS, Spread))
    registry.words.cache_clear()
    yield
    monkeypatch.undo()
    registry.words.cache_clear()


def with_spread(processes: int) -> Planned:
    return planned(
        "byol",
        TINY,
        replace={
            "regularization stop gradient": "regularization stop gradient + spread",
            "batch     batch": f"batch     {A_DEVICE * processes}",
        },
    )


def traffic(of: Planned, processes: int) -> Traffic:
    fake = fake_copy(of.executable, A_DEVICE)
    parts = modules_of(of.executable.graph, fake.module)
    return traffic_of(fake, World(processes, processes, "none"), parts)


def test_what_a_penalty_of_another_package_gathers_is_counted_as_it_is_observed() -> None:
    of = with_spread(WORLD)
    found = sent(of, WORLD, "none")
    assert disagreements(found) == []
    lines = {(line.purpose, line.operation): line for line in found.traffic}
    for operation in ("all-gather", "reduce-scatter"):
        line = lines["candidates", operation]
        assert line.observed_collectives == line.collectives > 0
        assert line.observed_received == line.received > 0


def test_a_penalty_takes_the_branch_of_the_world_that_is_asked_for() -> None:
    of = with_spread(WORLD)
    rows = [e for e in traffic(of, WORLD).exchanges if e.purpose == "candidates"]
    assert Counter((e.operation, e.size) for e in rows) == {
        ("all-gather", 4 * WORLD * A_DEVICE * WIDTH): CALLS,
        ("reduce-scatter", 4 * WORLD * A_DEVICE * WIDTH): CALLS,
    }
    larger = traffic(of, 2 * WORLD).exchanges
    assert not [e for e in larger if e.purpose == "candidates"]
    # The mean and its gradient.
    means = [e for e in larger if (e.operation, e.size) == ("all-reduce", 4 * WIDTH)]
    assert len(means) == 2 * CALLS


@pytest.mark.parametrize(
    ("module", "effects", "said"),
    [
        (SpreadLoss, COUPLED, None),
        (OwnSpreadLoss, PURE, None),
        (BackwardLoss, COLLECTIVE, None),
        (SpreadLoss, PURE, "`spread` communicates with other processes, and no effect of it says so"),
        (BackwardLoss, PURE, "`spread` communicates with other processes, and no effect of it says so"),
        (
            OwnSpreadLoss,
            COUPLED,
            "`spread` says that it depends on the whole batch, but sends nothing to other processes",
        ),
        (OwnSpreadLoss, COLLECTIVE, "`spread` says that it communicates, but sends nothing to other processes"),
    ],
)
def test_effects_must_hold(
    module: type[nn.Module], effects: frozenset[Effect], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spread, "module", module)
    monkeypatch.setattr(Spread, "effects", effects)
    of = with_spread(2)
    found = list(effect_faults(of.executable, traffic(of, 2)))
    assert [(fault.code, fault.message) for fault in found] == ([] if said is None else [("M3I0403", said)])
    if found:
        span = found[0].primary.span
        assert span.file.text[span.start : span.end] == "spread"


def test_the_dry_run_names_the_word_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spread, "module", OwnSpreadLoss)
    text = (RECIPES / "byol.m3i").read_text(encoding="utf-8")
    recipe = tmp_path / "byol.m3i"
    recipe.write_text(text.replace("regularization stop gradient", "regularization stop gradient + spread"))
    (tmp_path / "data.m3i").write_bytes((RECIPES / "data.m3i").read_bytes())
    command = ["plan", str(recipe), "--world", "2", "--set", "width=24", "--set", "depth=1"]
    assert main(command) == 0
    assert main([*command, "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert "error[M3I0403]: `spread` says that it depends on the whole batch" in said
    assert "use `gather`, `total` or `mean`" in said


@pytest.mark.parametrize("name", VARIANTS)
def test_every_word_of_the_language_communicates_as_it_says(name: str) -> None:
    executable = case_named(name).copy(torch.float32)
    fake = fake_copy(executable, executable.program.training.batch // 2)
    parts = modules_of(executable.graph, fake.module)
    found = traffic_of(fake, World(2, 2, "none"), parts)
    assert [fault.message for fault in effect_faults(executable, found)] == []
    assert found.called, "no part of the graph was watched"


def test_what_counts_and_observes_bytes_knows_no_module_and_no_word() -> None:
    for name in ("callers", "communication", "declared", "dry_run", "exchanges", "observer", "traffic", "units"):
        path = PLAN / f"{name}.py"
        imports = re.findall(r"^ *(?:from|import) (m3i_dsl[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert imports, path
        known = [m for m in imports if m.startswith(("m3i_dsl.modules", "m3i_dsl.vocabulary"))]
        assert set(known) <= {"m3i_dsl.vocabulary.blame", "m3i_dsl.vocabulary.word"}, f"{path} knows {known}"
