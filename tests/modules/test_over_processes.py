"""Which parts of a model of timm can be had over all processes; what they compute there is in `distributed/`."""

import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from m3i_dsl.modules.batch_norm import GlobalBatchNorm2d
from m3i_dsl.modules.over_processes import over_all_processes
from m3i_dsl.vocabulary.kinds import WordError


def test_a_batch_norm_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(WordError, match="`0` is a BatchNorm3d, whose statistics"):
        over_all_processes(nn.Sequential(nn.BatchNorm3d(2)))


def test_parts_that_are_already_of_all_processes_and_other_parts_stay() -> None:
    model = over_all_processes(nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
    assert [type(part) for part in over_all_processes(model)] == [GlobalBatchNorm2d, nn.ReLU]


@pytest.mark.parametrize("scale", [True, False])
def test_stochastic_depth_keeps_a_branch_as_often_as_it_says(scale: bool) -> None:
    torch.manual_seed(0)
    rows = 20_000
    x = torch.ones(rows, 2, dtype=torch.bfloat16)
    for rate in (0.1, 0.9):
        found = over_all_processes(nn.Sequential(DropPath(rate, scale)))(x)
        kept = found[:, 0] > 0
        assert torch.equal(found[:, 1] > 0, kept), "a sample keeps a branch or does not"
        error = (rate * (1 - rate) / rows) ** 0.5
        assert abs(kept.double().mean().item() - (1 - rate)) < 5 * error
        value = 1 / (1 - rate) if scale else 1.0
        torch.testing.assert_close(found[kept].double(), torch.full_like(found[kept], value).double())


def test_a_branch_that_is_never_kept_is_nothing() -> None:
    assert not over_all_processes(nn.Sequential(DropPath(1.0)))(torch.ones(8, 2)).any()
