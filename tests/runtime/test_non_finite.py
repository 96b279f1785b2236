"""A loss that is not finite: no weight moves, the state before it is kept, target, node and line are named."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.runtime.guard import Guard, NonFiniteStep
from m3i_dsl.runtime.locate import locate
from m3i_dsl.runtime.loop import Trainer
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.optimizers import Sgd
from m3i_dsl.vocabulary.values import Duration, Rate
from tests.runtime.test_loop import equal, lines, weights
from tests.runtime.tiny import TinyGraph, TinyStream, create, tiny_graph, trainer

BAD = 9


def fail(path: Path, graph: TinyGraph, *, deferred: bool = False, **settings: object) -> Diagnostic:
    with create(path) as run:
        job = trainer(run, graph, TinyStream(poison=BAD), **settings)
        if deferred:
            defer(job, graph)
        with pytest.raises(RecipeError) as caught:
            job.run()
        assert all(record["step"] <= BAD for record in lines(run))
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def defer(job: Trainer, graph: TinyGraph) -> None:
    """What a GPU gets: the verdict stays on the device until the next logged step."""
    job._guard = Guard(graph.module, torch.device("cpu"), deferred=True)


def trained(path: Path, *, deferred: bool, max_steps: int | None = None) -> dict[str, Tensor]:
    graph = tiny_graph()
    with create(path) as run:
        job = trainer(run, graph, max_steps=max_steps)
        if deferred:
            defer(job, graph)
        job.run()
    return weights(graph)


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "deferred"])
def test_the_state_before_the_step_is_kept_and_saved(tmp_path: Path, deferred: bool) -> None:
    graph = tiny_graph()
    fail(tmp_path / "run", graph, deferred=deferred, log_every=5)
    assert equal(weights(graph), trained(tmp_path / "good", deferred=deferred, max_steps=BAD))
    assert (tmp_path / "run/checkpoints/latest").read_text() == f"step-{BAD:06d}\n"

    # What was saved continues, with good data, exactly as if nothing had happened.
    resumed = tiny_graph()
    with RunFolder.open(tmp_path / "run") as run:
        job = trainer(run, resumed)
        if deferred:
            defer(job, resumed)
        assert job.run(resume=True).status == "finished"
    assert equal(weights(resumed), trained(tmp_path / "whole", deferred=deferred))


def test_a_fused_sgd_that_fails_at_its_first_step_is_caught_before_it_moves(tmp_path: Path) -> None:
    graph = tiny_graph(optimizer=Sgd(lr=Rate(0.1, None)))
    before = weights(graph)
    with create(tmp_path / "run") as run:
        job = trainer(run, graph, TinyStream(poison=0), log_every=5)
        defer(job, graph)
        with pytest.raises(RecipeError):
            job.run()
    assert equal(weights(graph), before)


def test_target_node_and_line_are_named(tmp_path: Path) -> None:
    diagnostic = fail(tmp_path / "run", tiny_graph())
    assert diagnostic.code == "M3I0701"
    assert diagnostic.message == f"the loss of target `m3i.inter` is not finite at step {BAD + 1}"
    assert diagnostic.span.text == "target inter {}" and diagnostic.span.line == 3
    assert "`truediv`" in diagnostic.notes[0] and "tiny.m3i:3 m3i.inter" in diagnostic.notes[0]
    assert f"step-{BAD:06d}" in diagnostic.notes[1]
    assert diagnostic.helps


def test_a_checkpoint_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    diagnostic = fail(tmp_path / "run", tiny_graph(), checkpoint_every=Duration(BAD, "steps"))
    assert diagnostic.code == "M3I0701"
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("step-*")] == [f"step-{BAD:06d}"]


def test_the_guard_puts_back_buffers_and_random_numbers() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3).eval())
    guard = Guard(module, torch.device("cpu"), deferred=False)
    guard.before(0)
    module[0](torch.randn(4, 3))
    guard.before(1)
    good = module[0].running_mean.clone()
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    guard.before(2)
    module[0](torch.full((4, 3), torch.nan))
    torch.randn(10)
    with pytest.raises(NonFiniteStep):
        guard.check(2, torch.tensor(torch.nan))
    guard.rewind(2)
    assert torch.equal(module[0].running_mean, good)
    assert torch.equal(torch.get_rng_state(), drawn)


# --- which node -------------------------------------------------------------------------------------------------------


class Located(nn.Module):
    """Targets that can fail in their own ways."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor, hidden: Tensor) -> dict[str, object]:
        masked = torch.where(hidden, -torch.inf, x)  # -inf on purpose: the softmax of it is finite
        attention = torch.softmax(masked, dim=-1)
        logarithm = torch.log(x * self.weight)
        root = torch.sqrt((x * self.weight - x).square().sum())  # 0 at the start: infinite gradient
        first, second, third = (attention * self.weight).sum(), logarithm.mean(), root
        return {
            "loss": first + second + third,
            "losses": {"o.first": first, "o.second": second, "o.third": third},
            "representations": {},
        }


def located(x: Tensor) -> tuple[tuple[str, ...], str | None, bool, str | None]:
    module = fx.symbolic_trace(Located())
    hidden = torch.tensor([True, False, False])
    culprit = locate(module, [{"hidden": hidden, "x": x}], {"log": "recipe.m3i:7 o.second"})
    return culprit.targets, culprit.node, culprit.is_input, culprit.parameter


def test_the_first_node_is_named_and_a_mask_is_not() -> None:
    assert located(torch.tensor([1.0, -2.0, 3.0])) == (("o.second",), "log", False, None)
    assert located(torch.tensor([1.0, 0.0, 3.0])) == (("o.second",), "log", False, None)


def test_a_bad_batch_is_named_as_such() -> None:
    targets, node, is_input, _ = located(torch.tensor([1.0, torch.nan, 3.0]))
    assert targets == ("o.first", "o.second", "o.third")
    assert (node, is_input) == ("x", True)


def test_a_gradient_that_is_not_finite_names_target_and_parameter() -> None:
    assert located(torch.tensor([1.0, 2.0, 3.0])) == (("o.third",), None, False, "weight")


def test_a_non_finite_gradient_moves_nothing() -> None:
    module = Located()
    guard = Guard(module, torch.device("cpu"), deferred=False)
    guard.before(0)
    outputs = module(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, False]))
    guard.check(0, outputs["loss"])
    outputs["loss"].backward()
    assert module.weight.grad is not None
    with pytest.raises(NonFiniteStep):
        guard.check(0, torch.nn.utils.get_total_norm([module.weight.grad]))
