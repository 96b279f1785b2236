"""The comparison has teeth: any one fault in the graph of any recipe makes it fail."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from m3i_dsl.lower.executable import Executable
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.vocabulary.values import Ramp
from tests.numerics import training
from tests.numerics.comparison import Result, compare, expect
from tests.numerics.methods import METHODS
from tests.numerics.mutations import mutants
from tests.numerics.recipes import ROOT, batch_at, compile_text, compiled, fresh, recipe_names
from tests.numerics.test_recipes import case
from tests.numerics.test_training import agree_states, batches


@pytest.mark.parametrize("name", recipe_names())
def test_every_fault_is_noticed(name: str) -> None:
    resnet = "resnet" in (ROOT / f"{name}.m3i").read_text(encoding="utf-8")
    executable, expected, batch = on_a_vit(name) if resnet else case(name)
    survived, hopeless = survivors(executable, expected, batch, functools.partial(harmless, name))
    assert survived == hopeless


def on_a_vit(name: str) -> tuple[Executable, Result, dict[str, Tensor]]:
    """The recipe with a small ViT for its ResNet: the graph has the same nodes, and its mutants take seconds."""
    text = (ROOT / f"{name}.m3i").read_text(encoding="utf-8")
    vit = 'timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 36, depth: 2, heads: 3'
    text, replaced = re.subn(r'timm\("resnet10t", image: size, stride: 8px', vit, text)
    assert replaced == 1
    executable = fresh(compile_text(text).executable)
    batch = batch_at(executable.program, executable)
    return executable, expect(executable, METHODS[name], batch), batch


def survivors(
    executable: Executable, expected: Result, batch: dict[str, Tensor], ignored: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    """The faults that the comparison does not notice, and those that cannot be noticed."""
    survived: list[str] = []
    hopeless: list[str] = []
    for what, mutant in mutants(executable):
        if ignored(what):
            hopeless.append(what)
        try:
            compare(mutant, expected, batch, consume=True)
        except Disagreement:
            continue
        survived.append(what)
    return survived, hopeless


def harmless(name: str, what: str) -> bool:
    """Faults that change nothing, because of what else the recipe says."""
    if what.startswith("skip stop_gradient"):
        return True  # the average runs without gradient anyway; the next test has an encoder that does not
    if "tokens_per_image" in what:
        return name != "table/10_dense_instance_discrimination"  # the targets are global
    if name == "table/10_dense_instance_discrimination" and ".predictions" in what:
        return True  # tokens choose among targets
    if name == "beit" and what.startswith("gradient through"):
        return True  # codes are whole numbers
    if what.startswith("geometry of"):
        return True  # the intra decoder has absolute positions; below is a recipe in which it does not
    if name in ("msn", "dinov2"):
        return False  # mean entropy is of shares, and KoLeo adds a small number to differences
    # Other terms are even in the prediction, decorrelation in the correlation matrix too.
    return what.startswith(("minus prediction of penalties", "minus correlation of penalties"))


def test_a_stop_gradient_on_a_trained_encoder_is_needed() -> None:
    """Instance discrimination with its own features as targets: the operation alone stops gradients."""
    text = (ROOT / "table" / "11_instance_discrimination.m3i").read_text(encoding="utf-8")
    text = text.replace("feature of momentum", "feature of image").replace(
        "negative samples", "stop gradient + negative samples"
    )
    executable = fresh(compile_text(text, ROOT / "table" / "own.m3i").executable)
    batch = batch_at(executable.program, executable)
    expected = expect(executable, METHODS["table/11_instance_discrimination"], batch)
    survived, hopeless = survivors(executable, expected, batch, lambda what: "tokens_per_image" in what)
    assert survived == hopeless


def test_the_geometry_of_another_target_is_noticed() -> None:
    """M3I with relative positions in both decoders: the intra one is at the identity."""
    text = (ROOT / "m3i.m3i").read_text(encoding="utf-8")
    text = text.replace("decoder(layers: 2, heads: 3)", "decoder(layers: 2, heads: 3, position: relative)")
    executable = fresh(compile_text(text).executable)
    batch = batch_at(executable.program, executable)
    expected = expect(executable, METHODS["m3i"], batch)
    survived, hopeless = survivors(executable, expected, batch, lambda what: what.startswith("skip stop_gradient"))
    assert survived == hopeless


@pytest.mark.parametrize(
    ("fault", "recipe"),
    [
        ("averages follow nothing", "byol"),
        ("averages follow too fast", "byol"),
        ("momentum stays", "byol"),
        ("no clip", "siamese_im"),
        ("clip together", "dino"),
        ("decay stays", "dino"),
        ("tokens do not decay", "mae"),
    ],
)
def test_a_fault_in_training_is_noticed(fault: str, recipe: str) -> None:
    executable = fresh(compiled(recipe).executable)
    given = batches(recipe)
    expected = training.train_by_hand(executable, METHODS[recipe], given)
    agree_states(training.train(executable, given), expected)
    with pytest.raises(Disagreement):
        agree_states(training.train(_faulty(executable, fault), given), expected)


def _faulty(executable: Executable, fault: str) -> Executable:
    start = executable.averages[0].momentum.start if executable.averages else 0.0
    momentum = {"averages follow too fast": Ramp(0.99, 1.0, "cosine"), "momentum stays": Ramp(start, start, "constant")}
    if fault == "averages follow nothing":
        return replace(executable, averages=())
    if fault in momentum:
        averages = tuple(replace(average, momentum=momentum[fault]) for average in executable.averages)
        return replace(executable, averages=averages)
    program = executable.program
    found, word = program.training, program.training.optimizer.word
    match fault:
        case "no clip":
            found = replace(found, clip=None)
        case "clip together":
            assert found.clip is not None
            found = replace(found, clip=replace(found.clip, per_tensor=False))
        case _:
            changed = {"weight_decay": Ramp.constant(0.04)} if fault == "decay stays" else {"decayed": "matrices"}
            other: Any = replace(word, **changed)  # type: ignore[type-var]  # every concrete word is a dataclass
            found = replace(found, optimizer=replace(found.optimizer, word=other))
    return replace(executable, program=replace(program, training=found))
