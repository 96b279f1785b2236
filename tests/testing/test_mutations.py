"""A planted fault makes the property fail that is there for it, and says what it found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.ir.graph import Equation, Graph, Value
from m3i_dsl.ir.operations import LIKELIHOODS
from m3i_dsl.lower.parts import Group
from m3i_dsl.modules.encoders.frozen import NoGradient
from m3i_dsl.passes.rewriting import rebuilt, renamed
from m3i_dsl.testing import Case, Outcome, case_of, outcome_of
from m3i_dsl.testing.run import chosen
from m3i_dsl.vocabulary.limits import TINY_WIDTH
from tests.passes.recipes import SIAMESE
from tests.testing.recipes import HALF, HALF_REPLACED, program, program_named

Change = Callable[[Tensor], Tensor]


def failure(case: Case, name: str) -> Outcome:
    """The outcome of a property, which must have failed."""
    (tested,) = chosen(only=[name])
    found = outcome_of(tested, case)
    assert found.status == "failed", found
    assert "raises" not in found.message, found
    return found


def passes(case: Case, *names: str) -> None:
    found = [outcome_of(tested, case) for tested in chosen(only=names)]
    assert {outcome.status for outcome in found} == {"passed"}, found


# --- faults of the graph ----------------------------------------------------------------------------------------------


def without(*operations: str, at: str = "") -> Callable[[Graph], Graph]:
    """The graph in which some operations hand on their first argument."""

    def edit(graph: Graph) -> Graph:
        gone = [e for e in graph.equations if e.operation in operations and at in e.place.role]
        assert gone, "the fault did nothing"
        values: dict[str, Value] = {}
        for equation in gone:
            argument = equation.arguments[0]
            assert argument is not None
            values[equation.results[0].name] = values.get(argument.name, argument)
        kept = [renamed(e, values) for e in graph.equations if e not in gone]
        return rebuilt(graph, kept, values)

    return edit


def inverted_masks(graph: Graph) -> Graph:
    """Encoders see what they should not, and the reverse."""
    equations: list[Equation] = []
    for equation in graph.equations:
        hidden = equation.arguments[1] if equation.operation == "encode" else None
        if hidden is not None:
            other = replace(hidden, name=f"{hidden.name}_inverted_{len(equations)}")
            equations.append(Equation((other,), "invert", (hidden,), (), equation.place))
            equation = replace(equation, arguments=(equation.arguments[0], other, *equation.arguments[2:]))
        equations.append(equation)
    assert len(equations) > len(graph.equations), "the fault did nothing"
    return rebuilt(graph, equations)


def constant_loss(graph: Graph) -> Graph:
    """Predictions enter the losses detached."""
    equations: list[Equation] = []
    for equation in graph.equations:
        if equation.operation in LIKELIHOODS:
            prediction = equation.arguments[0]
            assert prediction is not None
            still = replace(prediction, name=f"{prediction.name}_still")
            equations.append(Equation((still,), "stop_gradient", (prediction,), (), equation.place))
            equation = replace(equation, arguments=(still, *equation.arguments[1:]))
        equations.append(equation)
    return rebuilt(graph, equations)


def test_a_lost_stop_gradient_is_found_twice() -> None:
    passes(case_of(program(SIAMESE)), "isolation", "collapse", "overfit")
    case = case_of(program(SIAMESE), edit=without("stop_gradient"))
    isolation, collapse = failure(case, "isolation"), failure(case, "collapse")
    assert "a gradient reaches the target of `siamese.other`" in isolation.message
    assert isolation.span is not None and isolation.span.text == "stop gradient"
    assert "`siamese.other` collapses" in collapse.message


def test_a_constant_wins_where_nothing_penalises_it() -> None:
    """Barlow Twins without decorrelation is a regression of two trained features; `m3ic check` would not let it be."""
    of = program_named("barlow_twins")
    case = case_of(of)
    passes(case, "collapse")
    (objective,) = of.objectives
    targets = tuple(replace(target, regularizations=()) for target in objective.targets)
    case = case_of(replace(of, objectives=(replace(objective, targets=targets),)))
    assert case.program.encoders["image"].word.word.shape().width == TINY_WIDTH
    found = failure(case, "collapse")
    assert "a constant reaches 0," in found.message
    assert found.place.endswith(f":{objective.targets[0].settings['regularization'].line}")


@pytest.mark.parametrize("text", [HALF, HALF_REPLACED], ids=["drop", "mask"])
def test_an_inverted_mask_leaks(text: str) -> None:
    passes(case_of(program(text)), "leak", "fused")
    case = case_of(program(text), edit=inverted_masks)
    leak = failure(case, "leak")
    assert "hidden pixels of `view1`" in leak.message
    assert leak.span is not None and leak.span.text.startswith("random(50%")
    assert "not the one that the recipe defines" in failure(case, "fused").message


def test_a_mask_of_one_of_several_inputs_leaks() -> None:
    text = HALF.replace("masked view1 by random(50%)", "view2, masked view1 by random(50%)")
    text = text.replace("heads: 3", "heads: 3, position: relative").replace("data           view1", "data view1, view2")
    passes(case_of(program(text)), "leak")
    leak = failure(case_of(program(text), edit=inverted_masks), "leak")
    assert "hidden pixels of `view1`" in leak.message


def test_a_mix_that_is_not_made_leaks() -> None:
    case = case_of(program_named("m3i"), edit=without("blend"))
    assert "hidden pixels" in failure(case, "leak").message


def test_a_constant_loss_is_not_learned() -> None:
    case = case_of(program(HALF), edit=constant_loss)
    assert "depends on no parameter" in failure(case, "overfit").message
    assert "depends on no parameter" in failure(case, "isolation").message


# --- faults of modules ------------------------------------------------------------------------------------------------


class Changed(nn.Module):
    """A module whose result goes through `change`."""

    def __init__(self, inner: nn.Module, change: Change) -> None:
        super().__init__()
        self.inner = inner
        self.change = change

    def forward(self, *arguments: Any, **named: Any) -> Tensor:
        return self.change(self.inner(*arguments, **named))


class Counting(nn.Module):
    """A module that gets louder with each call, and keeps the count where no checkpoint looks."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls = 0

    def forward(self, *arguments: Any, **named: Any) -> Tensor:
        self.calls += 1
        return self.inner(*arguments, **named) * (1 + 0.1 * self.calls)


def changed(case: Case, section: str, name: str, make: Callable[[nn.Module], nn.Module]) -> Case:
    """The case with another module in the place of one."""
    module, averages = copy.deepcopy((case.executable.module, case.executable.averages))
    group = module.get_submodule(section)
    assert isinstance(group, Group)
    group.add_module(name, make(group[name]))
    return replace(case, executable=replace(case.executable, module=module, averages=averages))


def predictor(text: str, change: Change) -> Case:
    """The case of `half` with its prediction changed."""
    return changed(case_of(program(text)), "predictors", "half_own", lambda inner: Changed(inner, change))


def test_what_is_narrower_than_it_is_given() -> None:
    """The part is named before another fails for it, and so is one that widens its result again."""
    passes(predictor(HALF, lambda x: 2 * x), "float64")
    for narrow in (lambda x: x.float(), lambda x: x.float().double() / 2):
        found = failure(predictor(HALF, narrow), "float64")
        assert "predictor `decoder` computes in torch.float32 what it is given in float64" in found.message
        assert found.place.endswith("text.m3i:11")


def test_what_is_not_finite() -> None:
    case = predictor(HALF, lambda x: x.log())
    found = failure(case, "finite")
    assert "the loss of `half.own` is nan" in found.message
    assert found.span is not None and found.span.text == "gaussian"


def test_a_gradient_that_is_not_finite() -> None:
    """The square root of a squared zero: finite forward, nan backward."""
    case = predictor(HALF, lambda x: x + (0 * x).square().sum().sqrt())
    assert "the gradient of" in failure(case, "finite").message


def test_samples_that_are_compared_with_their_neighbours() -> None:
    case = predictor(HALF, lambda x: x + x.roll(1, dims=0))
    assert "permuting the samples" in failure(case, "permutation").message
    assert "2 microbatches of a batch are not the batch" in failure(case, "accumulation").message


def test_a_statistic_of_the_batch_that_is_not_declared() -> None:
    case = predictor(HALF, lambda x: x - x.mean(dim=0, keepdim=True))
    passes(case, "permutation")
    assert "2 microbatches" in failure(case, "accumulation").message


def test_an_encoder_that_nothing_trains() -> None:
    case = predictor(HALF, lambda x: x)
    passes(case, "isolation")
    case = changed(case, "encoders", "image", lambda inner: Changed(inner, lambda x: x.detach()))
    assert "`encoders.image` is trained, and no gradient reaches it" in failure(case, "isolation").message


def test_an_average_that_is_trained() -> None:
    def trained(inner: nn.Module) -> nn.Module:
        assert isinstance(inner, NoGradient)
        return inner.module.requires_grad_(True)

    case = changed(case_of(program_named("m3i_no_mix"), edit=without("stop_gradient")), "encoders", "momentum", trained)
    found = failure(case, "isolation")
    assert "a gradient reaches the target" in found.message


def test_what_needs_more_bits() -> None:
    case = predictor(HALF, lambda x: (x + 300) - 300)
    passes(case, "finite")
    assert "in bf16" in failure(case, "bf16").message


def test_state_that_is_not_saved() -> None:
    case = changed(case_of(program(HALF)), "predictors", "half_own", Counting)
    assert "something is not saved" in failure(case, "checkpoint").message


def test_a_step_that_raises_is_a_failure() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("no kernel")

    (tested,) = chosen(only=["finite"])
    found = outcome_of(tested, predictor(HALF, broken))
    assert (found.status, found.message) == ("failed", "the step raises RuntimeError: no kernel")


def test_weights_are_those_of_the_seed() -> None:
    one, other = (case_of(program(HALF), seed=seed).copy().module.state_dict() for seed in (0, 1))
    assert any(not torch.equal(one[name], other[name]) for name in one)
