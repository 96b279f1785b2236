"""Strategies draw what is right, all of it, and shrink to what is small."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from random import Random

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from m3i_dsl.driver import check_file
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.testing.strategies import ObjectiveText, masks, objectives, programs, views
from tests.testing.recipes import HALF


def checked(text: str) -> Program:
    return check_file(SourceFile("drawn.m3i", text)).required()


@settings(max_examples=30)
@given(masks(side=5), st.sampled_from((2, 4)))
def test_a_mask_fits_its_grid(mask: str, times: int) -> None:
    recipe = (
        HALF.replace('use "data.m3i"', 'data images = embedded("digits")\nview view1 of images.image = resize(40px)')
        .replace('use "encoders.m3i"', 'encoder image = timm("vit_tiny_patch16_224", image: 40px, patch: 8px)')
        .replace("random(50%)", mask)
        .replace("batch     128", f"batch {times * 2}")
    )
    (objective,) = checked(recipe).objectives
    assert objective.inputs[0].mask is not None


@settings(max_examples=30)
@given(views(48))
def test_a_view_has_its_size(view: str) -> None:
    text = HALF.replace('use "data.m3i"', f'data images = embedded("digits")\nview view1 of images.image = {view}')
    text = text.replace('use "encoders.m3i"', 'encoder image = timm("vit_tiny_patch16_224", image: 48px, patch: 8px)')
    assert checked(text).views["view1"].size == (48, 48)


@settings(max_examples=40)
@given(objectives())
def test_an_objective_is_a_recipe(objective: ObjectiveText) -> None:
    program = checked(objective.recipe("mine"))
    assert program.name == "mine"
    assert len(program.objectives) == 1
    # `crops[2]` are two views, crops[0] and crops[1].
    lists = [re.fullmatch(r"(\w+)\[(\d+)\]", name) for name in objective.views]
    of_lists = {f"{found[1]}[{place}]" for found in lists if found for place in range(int(found[2]))}
    assert program.views.keys() == {name for name in objective.views if "[" not in name} | of_lists
    assert program.encoders.keys() == objective.encoders.keys()


@settings(max_examples=10)
@given(programs())
def test_programs_are_checked(program: Program) -> None:
    assert program.objectives


def smallest(strategy: st.SearchStrategy[ObjectiveText], said: str) -> Program:
    """The program of the smallest objective whose text says `said`."""
    found = find(
        strategy,
        lambda objective: said in objective.text,
        settings=settings(max_examples=2000, database=None, deadline=None),
        random=Random(0),
    )
    return checked(found.recipe())


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    ["mix(", "unigrad", "bernoulli"],
)
def test_every_row_can_come_and_shrinks_to_one_target(word: str) -> None:
    program = smallest(objectives(), word)
    (objective,) = program.objectives
    assert len(objective.targets) == 1
    assert not objective.symmetric
    assert all(view.transforms[0].word.name == "resize" for view in program.views.values())


def test_without_hypothesis_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec("hypothesis") is not None
    code = (
        "import importlib.util as u; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'hypothesis' else find(name, *a); "
        "import m3i_dsl.testing.strategies"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'm3ic[testing]'" in done.stderr.splitlines()[-1]
