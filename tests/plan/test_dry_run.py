"""The step of a world that is not there: what it sends is what the plan counts, for every recipe and way to shard."""

from __future__ import annotations

import re

import pytest
import torch.distributed as dist

from m3i_dsl.cli.main import main
from m3i_dsl.plan import ACCELERATORS, CommunicationPlan, Plan, Setting, plan_of
from m3i_dsl.plan.communication import disagreements
from m3i_dsl.runtime.distributed.wrapping import Sharding
from tests.plan.programs import RECIPES, Planned, planned

TINY = {"width": "24", "depth": "1"}
A_DEVICE = 4


def wide(recipe: str, world: int, settings: dict[str, str], *, precision: str = "fp32") -> Planned:
    """The recipe with `A_DEVICE` samples for each of `world` devices."""
    line = re.search(r"\bbatch +(\d+|batch)$", (RECIPES / f"{recipe}.m3i").read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    return planned(recipe, settings, replace={line.group(): f"batch {A_DEVICE * world}\n  precision {precision}"})


def sent(of: Planned, world: int, sharding: Sharding) -> CommunicationPlan:
    setting = Setting(world, ACCELERATORS["h200"], sharding, dry_run=True)
    found = plan_of(of.executable, of.plain, of.categories, setting).communication
    assert not dist.is_initialized()
    return found


def received(found: CommunicationPlan) -> dict[tuple[str, str], float]:
    return {(line.purpose, line.operation): line.received for line in found.traffic}


@pytest.mark.parametrize(
    ("recipe", "world", "sharding"),
    [
        ("m3i", 8, "fsdp"),
        ("m3i", 512, "hsdp"),
        ("clip", 8, "fsdp"),  # candidates, with gradient, both ways, and a learned temperature
        ("barlow_twins", 16, "hsdp"),  # an encoder that is called twice, correlations, batch norms
        ("densecl", 8, "fsdp"),  # keys of a queue
        ("dino", 8, "fsdp"),  # centres
        ("byol", 8, "none"),
        ("siamese_im", 512, "none"),
    ],
)
def test_what_is_observed_is_what_is_counted(recipe: str, world: int, sharding: Sharding) -> None:
    found = sent(wide(recipe, world, TINY), world, sharding)
    assert disagreements(found) == []
    for line in found.traffic:
        assert (line.observed_collectives, line.observed_received) == (line.collectives, line.received)


def test_512_processes_in_bf16() -> None:
    of = wide("m3i", 512, TINY, precision="bf16")
    found = sent(of, 512, "fsdp")
    assert disagreements(found) == []
    assert received(found).keys() == {
        ("parameters", "all-gather"),
        ("gradients", "reduce-scatter"),
        ("statistics", "all-reduce"),
    }


def test_a_position_table_is_not_sent_as_often_as_there_are_devices() -> None:
    """[1, 17, 192] over 64 devices: 17 x 192 numbers each time, and not 64 times as many."""
    settings = {"width": "192", "depth": "1"}
    found = received(sent(wide("supervised", 64, settings), 64, "fsdp"))
    scalars = planned("supervised", settings).plan().parameters.trained
    assert found["gradients", "reduce-scatter"] < 1.3 * 4 * scalars


def test_a_width_that_cannot_be_divided_is_noted() -> None:
    of = wide("supervised", 64, TINY)
    (note,) = [n for n in of.plan(64, sharding="fsdp").notes if "times as large" in n]
    assert "use `hsdp`" in note
    assert not any("times as large" in note for note in of.plan(64, sharding="hsdp").notes)


def test_the_page_shows_both_and_the_exit_code_says_whether_they_agree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["plan", str(RECIPES / "clip.m3i"), "--world", "8", "--shard", "fsdp", "--dry-run"]
    command += ["--set", "width=24", "--set", "depth=1"]
    assert main(command) == 0
    page = capsys.readouterr().out
    assert "dry run         observed in a step of one of 8 processes, --shard fsdp" in page
    row = next(line.split() for line in page.splitlines() if line.split()[:2] == ["candidates", "all-gather"])
    assert row[2] == row[3] == "3"
    assert row[-1] == "+0.0%"

    monkeypatch.setattr("m3i_dsl.plan.traffic.FULL", 400)  # a model that is wrong in the norm
    assert main([*command, "--json"]) == 1
    (wrong,) = disagreements(Plan.model_validate_json(capsys.readouterr().out).communication)
    assert (wrong.purpose, wrong.operation) == ("statistics", "all-reduce")
