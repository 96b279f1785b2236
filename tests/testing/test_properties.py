"""Every property holds of every recipe of the project, and says why where it does not apply."""

from __future__ import annotations

import pytest
import torch

from m3i_dsl.testing import PROPERTIES, NotApplicable, Outcome, Property, check_properties, outcome_of
from m3i_dsl.testing.run import UnknownProperty, chosen
from tests.numerics.recipes import ROOT, recipe_names
from tests.testing.recipes import case_named, program_named

COUPLED = {
    "barlow_twins",
    "byol",
    "clip",
    "densecl",
    "dino",
    "dinov2",
    "ibot",
    "m3i_digits",
    "m3i_vitb_yfcc",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "msn",
    "siamese_im",
    "simclr",
    "table/02_clip",
    "table/05_global_distillation",
    "table/10_dense_instance_discrimination",
    "table/11_instance_discrimination",
    "table/14_siamim_global",
    "vicreg",
    "vqkd",
}


def outcome(name: str, tested: str) -> Outcome:
    (property_,) = chosen(only=[tested])
    return outcome_of(property_, case_named(name))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_every_property(name: str) -> None:
    outcomes = [outcome_of(tested, case_named(name)) for tested in PROPERTIES]
    assert [(found.name, found.message) for found in outcomes if found.status == "failed"] == []
    left_out = {found.name: found for found in outcomes if found.status == "not applicable"}
    assert left_out.keys() <= {"leak", "accumulation"}
    assert all(found.message for found in outcomes)
    masked = any(o.masked for o in program_named(name).objectives)
    assert ("leak" in left_out) == (not masked)
    assert ("accumulation" in left_out) == (name in COUPLED)


def test_what_couples_the_batch_is_named_with_its_place() -> None:
    found = outcome("clip", "accumulation")
    assert found.status == "not applicable"
    assert "negative texts" in found.message
    lines = (ROOT / "clip.m3i").read_text(encoding="utf-8").splitlines()
    (line,) = [number for number, text in enumerate(lines, start=1) if "negative texts" in text.partition("#")[0]]
    assert found.place.endswith(f"clip.m3i:{line}")


def test_a_class_table_wins_by_its_loss_and_not_by_a_rule() -> None:
    """Nothing detaches it, so its loss is minimised: a constant must lose."""
    assert "a constant reaches" in outcome("supervised", "collapse").message
    assert "the target has no parameters" in outcome("mae", "collapse").message


def test_other_seeds() -> None:
    for seed in (1, 2):
        found = list(check_properties(program_named("m3i_no_mix"), seed=seed))
        assert {outcome.status for outcome in found} <= {"passed", "not applicable"}, found


def test_a_property_of_ones_own() -> None:
    def narrow(case: object) -> str:
        raise NotApplicable("never")

    found = outcome_of(Property("own", "of one's own", narrow), case_named("mae"))
    assert (found.name, found.status, found.message) == ("own", "not applicable", "never")


def test_nothing_outside_is_disturbed() -> None:
    """Neither random numbers nor the case: what comes after is as if no property had been tested."""
    case = case_named("table/06_mim_pixel")
    before = {name: value.clone() for name, value in case.executable.module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for tested in PROPERTIES:
        outcome_of(tested, case)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[name], value) for name, value in case.executable.module.state_dict().items())


def test_names() -> None:
    assert [tested.name for tested in chosen(only=["leak", "finite"])] == ["finite", "leak"]
    assert len(chosen(skip=["fused"])) == len(PROPERTIES) - 1
    with pytest.raises(UnknownProperty) as caught:
        chosen(only=["overfitt"])
    assert caught.value.near == ("overfit",)
