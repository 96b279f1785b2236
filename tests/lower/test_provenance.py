"""Every node of the graph knows the recipe line that it came from, and shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import fx

from m3i_dsl import driver
from m3i_dsl.artifact.summary import listing
from m3i_dsl.lower.executable import Executable
from m3i_dsl.source import SourceFile

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def executable() -> Executable:
    path = ROOT / "examples/several_targets.m3i"
    file = SourceFile(str(path), path.read_text(encoding="utf-8"))
    return driver.compile_program(driver.check_file(file).required(), path.parent).executable


def _line(text: str) -> int:
    lines = (ROOT / "examples/several_targets.m3i").read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_every_call_has_a_place(executable: Executable) -> None:
    calls = {node.name for node in executable.module.graph.nodes if node.op in ("call_module", "call_function")}
    assert calls == set(executable.provenance)


def test_a_loss_comes_from_its_distribution(executable: Executable) -> None:
    place = executable.provenance["likelihoods_three_category"]
    assert place == f"several_targets.m3i:{_line('distribution   boltzmann')}:20 three.category"


def test_the_listing_shows_the_recipe_line_above_each_call(executable: Executable) -> None:
    text = listing(executable)
    line = _line("distribution   boltzmann")
    assert f"# File: several_targets.m3i:{line} in three.category, code: likelihoods_three_category" in text
    assert "No stacktrace" not in text.split("detach = ")[0].rsplit("\n", 2)[0]


def test_an_error_while_running_names_the_line(executable: Executable) -> None:
    batch = {str(node.target): torch.zeros(()) for node in executable.module.graph.nodes if node.op == "placeholder"}
    with pytest.raises(Exception, match=r"several_targets\.m3i"):
        fx.Interpreter(executable.module).run(*batch.values())
