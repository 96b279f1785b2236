"""Blocks computed again in the backward pass: the same step with less memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.collectives.world import alone
from m3i_dsl.runtime.compiling import compile_blocks, transformer_blocks
from m3i_dsl.runtime.recomputing import Recompute, recompute_blocks
from m3i_dsl.runtime.state import seed_random
from tests.distributed.invariance import case_named

MODES: tuple[Recompute, ...] = ("none", "blocks")


def stepped(recipe: str, mode: Recompute) -> tuple[dict[str, Tensor], Tensor, int, int]:
    """Gradients and buffers, the state of torch's generator, bytes kept for the backward pass, blocks."""
    of = case_named(recipe)
    module = of.copy().module
    blocks = recompute_blocks(module, mode)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    seed_random(0)
    with alone(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = module(**of.batch())["loss"]
    total = sum(kept.values())
    loss.backward()
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {**found, **dict(module.named_buffers())}, torch.get_rng_state(), total, blocks


@pytest.mark.parametrize("recipe", ["mae", "m3i", "siamese_im", "clip"])
def test_a_recomputed_step_is_the_same_to_the_bit(recipe: str) -> None:
    expected, state, bytes_kept, _ = stepped(recipe, "none")
    found, same_state, fewer_kept, blocks = stepped(recipe, "blocks")
    assert blocks > 0 and fewer_kept < bytes_kept
    assert found.keys() == expected.keys() and torch.equal(state, same_state)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks at it while it traces
def test_blocks_are_compiled_as_they_are_recomputed() -> None:
    losses: list[float] = []
    for mode in MODES:
        module = case_named("m3i").copy().module
        recompute_blocks(module, mode)
        compile_blocks(module, "on", torch.device("cpu"), backend="aot_eager")
        loss = module(**case_named("m3i").batch())["loss"]
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_averages_and_blocks_with_batch_norm_stay_as_they_are() -> None:
    module = case_named("siamese_im").copy().module
    recompute_blocks(module, "blocks")
    changed = [block for block in transformer_blocks(module) if "forward" in vars(block)]
    assert changed and all(any(p.requires_grad for p in block.parameters()) for block in changed)
    assert len(changed) < len(list(transformer_blocks(module)))
    names = case_named("siamese_im").copy().module.state_dict().keys()
    assert module.state_dict().keys() == names
