"""The eight faults of published training code that can be seen without running it, each as a recipe.

Six can be written in a recipe and are refused by `check`, which reads no data. Two cannot be written, since the
compiler owns the wiring: what is not read is not computed, and no step waits for the device.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import fx, nn

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.driver import Compiled, check_file, compile_program
from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import Graph, encoder_calls
from m3i_dsl.lower.meta_run import run_on_meta
from m3i_dsl.lower.shapes import ShapeRules
from m3i_dsl.passes import optimize
from m3i_dsl.source import InMemory, SourceFile

HEAD = """
m3i 1
recipe fault

data digits = embedded("digits")

view view1 of digits.image = crop(32px)
view view2 of digits.image = crop(32px)

encoder image    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)
encoder momentum = ema of image(0.99)
"""

OBJECTIVE = """
objective o {
  input     view2
  represent dense feature of image

  target t {
    data           view1
    representation global feature of momentum
    predictor      mlp
    regularization stop gradient
    distribution   gaussian
  }
}
"""

TRAIN = """
train {
  batch     64
  epochs    10
  optimizer adamw(lr: 1e-3)
}
"""

RECIPE = HEAD + OBJECTIVE + TRAIN


def _changed(*changes: tuple[str, str], text: str = RECIPE) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a source fails a test, unless it says that it compiles."""
    from m3i_dsl.vocabulary.sources.embedded import Embedded

    def refuse(self: Embedded, base: Path) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr(Embedded, "open", refuse)


def _only_fault(text: str) -> Diagnostic:
    """The one diagnostic of a recipe, which is checked without anything on the disk."""
    checked = check_file(SourceFile("recipe.m3i", text), reader=InMemory({}))
    assert checked.program is None
    (found,) = checked.diagnostics
    assert found.helps, "it says how to fix it"
    return found


def test_the_recipe_without_a_fault_is_right() -> None:
    assert list(check_file(SourceFile("recipe.m3i", RECIPE)).diagnostics) == []


def test_an_average_that_nobody_reads() -> None:
    """lightly's DenseCL example updates an average and calls the online encoder."""
    found = _only_fault(_changed(("of momentum", "of image")))
    assert found.code == "M3I0312"
    assert found.span.text == "encoder momentum = ema of image(0.99)"


def test_a_trained_tensor_that_is_detached() -> None:
    """lightly's MSN example passes `prototypes.data`: the prototypes stay random."""
    found = _only_fault(
        _changed(
            ("encoder momentum = ema of image(0.99)\n", ""),
            ("data           view1", "data           category"),
            ("global feature of momentum", "category embedding"),
            ("regularization stop gradient", "regularization stop gradient + negative categories"),
            ("distribution   gaussian", "distribution   boltzmann"),
            ("view view1 of digits.image = crop(32px)\n", ""),
        )
    )
    assert found.code == "M3I0316"
    assert found.span.text == "stop gradient"
    assert found.secondary[0].span.text == "category embedding"


@pytest.mark.parametrize("regularization", ["none", "stop gradient"])
def test_collapse_by_construction(regularization: str) -> None:
    """Without negatives, stop gradient with asymmetry, or decorrelation, a cosine loss reaches -1 and features
    vanish.
    """
    found = _only_fault(
        _changed(
            ("encoder momentum = ema of image(0.99)\n", ""),
            ("of momentum", "of image"),
            ("predictor      mlp", "predictor      identity"),
            ("regularization stop gradient", f"regularization {regularization}"),
        )
    )
    assert found.code == "M3I0301"
    assert found.span.text == regularization


@pytest.mark.parametrize(
    ("regularization", "distribution"),
    [
        ("negative samples", "boltzmann(temperature: 0.2)"),
        ("decorrelation", "gaussian"),
        ("stop gradient + unigrad", "gaussian"),
    ],
)
def test_a_batch_of_one(regularization: str, distribution: str) -> None:
    """Elsewhere a batch of one gives 16.2, 0, NaN, or an exception, depending on the method."""
    found = _only_fault(
        _changed(
            ("regularization stop gradient", f"regularization {regularization}"),
            ("distribution   gaussian", f"distribution   {distribution}"),
            ("batch     64", "batch     1"),
        )
    )
    assert found.code == "M3I0305"
    assert found.span.text == "1"


def test_dimensions_that_differ() -> None:
    """Elsewhere 64 against 32 channels fail in the first step, with an empty message in one case."""
    found = _only_fault(_changed(("predictor      mlp", "predictor      mlp(width: 32)")))
    assert found.code == "M3I0215"
    assert found.span.text == "32"
    assert found.primary.text == "yields B x 32"
    assert found.secondary[0].text == "is B x 48"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("  optimizer adamw", "  optimiser adamw", "M3I0123"),
        ("regularization stop gradient", "regularisation stop gradient", "M3I0123"),
        ("adamw(lr: 1e-3)", "adamw(lr: 1e-3, weigth_decay: 0.1)", "M3I0124"),
        ("distribution   gaussian", "distribution   gausian", "M3I0122"),
        ("of momentum", "of momentun", "M3I0120"),
    ],
)
def test_a_misspelt_key(old: str, new: str, code: str) -> None:
    """stable-pretraining takes `simclr_los=` and fails when the loss is first called."""
    found = _only_fault(_changed((old, new)))
    assert found.code == code
    assert found.fix is not None
    assert found.fix.safe
    assert found.fix.text in (*old.split(), "weight_decay", "momentum")


# --- what cannot be written -------------------------------------------------------------------------------------------


def _compiled(text: str, monkeypatch: pytest.MonkeyPatch) -> Compiled:
    monkeypatch.undo()
    return compile_program(check_file(SourceFile("recipe.m3i", text)).required(), Path())


def test_dead_compute_cannot_be_written() -> None:
    """stable-pretraining's MoCo runs its teacher on a view that only a monitor reads.

    Here monitors read values that the loss needs anyway, so the outputs for them add no encoder call, and an equation
    that no output depends on is dropped.
    """
    program = check_file(SourceFile("recipe.m3i", RECIPE)).required()
    graph = optimize(build(program), program.training.batch)
    assert encoder_calls(graph) == 2, "the input through the encoder, the target through its average"
    losses = tuple(output for output in graph.outputs if not output[0].startswith("representations/"))
    without_monitors = optimize(replace(graph, outputs=losses), program.training.batch)
    assert encoder_calls(without_monitors) == encoder_calls(graph)
    assert _needed(graph) == {value.name for equation in graph.equations for value in equation.results}


def _needed(graph: Graph) -> set[str]:
    """The values of equations that some output depends on."""
    needed = {value.name for _, value in graph.outputs}
    for equation in reversed(graph.equations):
        if any(value.name in needed for value in equation.results):
            needed |= {value.name for value in equation.arguments if value is not None}
    return needed & {value.name for equation in graph.equations for value in equation.results}


class _Waiting(nn.Module):
    """A predictor that asks the device for a number in every step, as stable-pretraining's MAE does of its mask."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *arguments: object) -> torch.Tensor:
        result: torch.Tensor = self.inner(*arguments)
        return result * result.abs().max().item()


def test_a_step_that_waits_for_the_device_does_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = _compiled(RECIPE, monkeypatch)
    run_on_meta(compiled.executable, ShapeRules(compiled.executable.graph, {"digits": 10}).check)
    predictors = compiled.executable.module.get_submodule("predictors")
    predictors.o_t = _Waiting(predictors.get_submodule("o_t"))
    assert isinstance(compiled.executable.module, fx.GraphModule)
    with pytest.raises(RuntimeError, match="meta"):
        run_on_meta(compiled.executable)
