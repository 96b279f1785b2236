"""Which parts of a model of timm can be had over all processes; what they compute there is in `distributed/`."""

import pytest
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
