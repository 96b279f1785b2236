"""What must hold of whole graphs whatever the references say: gradients that stop, mixes that complement, losses of
known value, and batches in microbatches.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx

from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules.pixels import patchify
from m3i_dsl.modules.tokens import partner
from m3i_dsl.testing.comparison import agree, agree_all
from tests.numerics.recipes import ROOT, batch_at, compile_text, compiled, fresh, recipe_names
from tests.numerics.training import train

TRAINS_ITS_TARGETS = {
    "barlow_twins": "encoders.image",
    "vicreg": "encoders.image",
    "clip": "encoders.words",
    "m3i": "representations.m3i_category",
    "m3i_digits": "encoders.words",
    "m3i_no_mix": "representations.m3i_no_mix_category",
    "supervised": "representations.supervised_category",
    "table/01_image_classification": "representations.image_classification_category",
    "table/02_clip": "encoders.words",
}


@pytest.mark.parametrize("name", recipe_names())
def test_no_loss_moves_a_target_that_is_not_trained(name: str) -> None:
    """One target at a time: parameters of averages get no gradient, those of trained targets do."""
    executable = fresh(compiled(name).executable)
    batch = batch_at(executable.program, executable)
    averaged = [p for average in executable.averages for p in average.average.parameters()]
    assert not any(parameter.requires_grad for parameter in averaged)
    for target, loss in executable.module(**batch)["losses"].items():
        loss.backward(retain_graph=True)
        assert all(parameter.grad is None for parameter in averaged), target
    if name in TRAINS_ITS_TARGETS:
        trained = executable.module.get_submodule(TRAINS_ITS_TARGETS[name])
        assert all(parameter.grad is not None for parameter in trained.parameters() if parameter.requires_grad)


# --- mixing -----------------------------------------------------------------------------------------------------------


def test_each_patch_of_a_mix_is_of_one_image_and_comes_back() -> None:
    executable = fresh(compiled("m3i").executable)
    batch = batch_at(executable.program, executable)
    values = record(executable, batch)
    image = next(value for name, value in values.items() if name.startswith("blend"))
    own = [values[str(n.args[1])] for n in executable.module.graph.nodes if n.name.startswith("gather_tokens")]
    first = batch["view1"]
    assert len(own) == 2  # the category of each image reads the tokens that its dense target reads
    complements = {tuple(mask.flatten().tolist()) for mask in own}
    hidden = batch["view1_mask"]
    assert complements == {tuple(mask.flatten().tolist()) for mask in (hidden, ~hidden)}
    mixed, mine, others = (patchify(x, 4, 4, False) for x in (image, first, partner(first)))
    assert torch.equal(mixed[~hidden], mine[~hidden])
    assert torch.equal(mixed[hidden], others[hidden])
    unmixed = record(executable, {**batch, "view1_mask": torch.zeros_like(hidden)})
    assert torch.equal(next(value for name, value in unmixed.items() if name.startswith("blend")), first)


def test_the_order_within_a_pair_is_of_no_meaning() -> None:
    """Each image is once the first and once the second of its pair."""
    executable = fresh(compiled("m3i").executable)
    batch = batch_at(executable.program, executable)
    swapped = {name: partner(value) for name, value in batch.items()}
    agree("loss", executable.module(**swapped)["loss"], executable.module(**batch)["loss"])


# --- losses of known value --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table/07_mim_feature", "table/13_siamim_feature", "m3i", "m3i_no_mix"])
def test_a_decoder_that_says_nothing_has_loss_one(name: str) -> None:
    """LN0 targets have variance 1 in each token, up to eps."""
    executable = fresh(compiled(name).executable)
    decoders: list[Any] = [m for m in executable.module.get_submodule("predictors").children() if hasattr(m, "out")]
    with torch.no_grad():
        for decoder in decoders:
            decoder.out.weight.zero_()
            decoder.out.bias.zero_()
    losses = executable.module(**batch_at(executable.program, executable))["losses"]
    dense = [value for target, value in losses.items() if "category" not in target]
    assert len(dense) == len(decoders)
    for value in dense:
        assert value.item() == pytest.approx(1.0, abs=1e-4)


def test_squared_error_of_unit_vectors_is_two_minus_two_cosines() -> None:
    outputs, _ = run("byol")
    seen = outputs["representations"]
    total = torch.zeros(())
    for suffix in ("", "/backward"):
        prediction, target = seen[f"byol.instance/prediction{suffix}"], seen[f"byol.instance/target{suffix}"]
        total = total + (2 - 2 * F.cosine_similarity(prediction, target)).mean()
    agree("loss", outputs["loss"], total)


@pytest.mark.parametrize("name", ["supervised", "table/01_image_classification"])
def test_classification_is_cross_entropy_over_the_class_table(name: str) -> None:
    outputs, executable = run(name)
    recipe = name.removeprefix("table/01_")
    table: Any = executable.module.get_submodule(f"representations.{recipe}_category")
    logits = outputs["representations"][f"{recipe}.category/prediction"] @ table.weight.T + table.bias
    labels = batch_at(executable.program, executable)["images_category"]
    smoothing = 0.1 if name == "supervised" else 0.0
    agree("loss", outputs["loss"], F.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_maes_targets_have_unbiased_variance_one_and_every_image_counts_the_same() -> None:
    outputs, executable = run("mae")
    target = outputs["representations"]["mae.pixels/target"]
    varied = target[target.var(dim=-1) > 0.5]  # a blank patch has no variance to be normalised
    assert len(varied) > 10
    torch.testing.assert_close(varied.var(dim=-1), torch.ones(len(varied), dtype=torch.float64), rtol=0, atol=1e-3)
    batch = batch_at(executable.program, executable)
    halves = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 4), slice(4, 8))]
    agree("loss", torch.stack([executable.module(**half)["loss"] for half in halves]).mean(), outputs["loss"])


def test_a_sum_over_channels_is_a_mean_times_their_number() -> None:
    path = ROOT / "table" / "07_mim_feature.m3i"
    text = path.read_text(encoding="utf-8").replace("gaussian(tokens", "gaussian(reduction: sum, tokens")
    summed = fresh(compile_text(text, path).executable)
    outputs, executable = run("table/07_mim_feature")
    batch = batch_at(executable.program, executable)
    agree("loss", summed.module(**batch)["loss"], 36 * outputs["loss"])


def run(name: str) -> tuple[dict[str, Any], Executable]:
    executable = fresh(compiled(name).executable)
    return executable.module(**batch_at(executable.program, executable)), executable


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m3i", "table/13_siamim_feature"])
def test_averages_move_once_for_a_batch_in_two_microbatches(name: str) -> None:
    executable = fresh(compiled(name).executable)
    batches = [batch_at(executable.program, executable, number) for number in range(2)]
    whole, microbatches = train(executable, batches), train(executable, batches, microbatches=2)
    agree_all("parameter", microbatches.parameters, whole.parameters, 1e-12)


def test_a_normalised_projector_couples_the_batch_and_its_average_stays_in_training_mode() -> None:
    executable = fresh(compiled("byol").executable)
    batch = batch_at(executable.program, executable)
    before = {name: value.clone() for name, value in executable.module.named_buffers()}
    whole = executable.module(**batch)["loss"]
    halves = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 4), slice(4, 8))]
    parts = [copy.deepcopy(executable.module)(**half)["loss"] for half in halves]
    assert abs(whole - (parts[0] + parts[1]) / 2) > 1e-4
    statistics = [name for name in before if name.startswith("projectors.momentum") and "running" in name]
    after = dict(executable.module.named_buffers())
    assert statistics
    assert all(not torch.equal(before[name], after[name]) for name in statistics)


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.values[n.name] = value.detach()
        return value


def record(executable: Executable, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The value of every node."""
    recorder = _Recorder(executable.module)
    recorder.run(*(batch[str(n.target)] for n in executable.module.graph.nodes if n.op == "placeholder"))
    return recorder.values
