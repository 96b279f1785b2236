"""Functions between features and losses."""

import torch

from m3i_dsl.modules.features import match


def test_the_nearest_token_is_found_under_autocast() -> None:
    """Neighbours whose cosines differ by less than bfloat16 can say: the nearer one is chosen all the same."""
    x = torch.tensor([[[1.0, 0.0]]])
    angles = torch.tensor([0.03, 0.01, 0.02])
    y = torch.stack([angles.cos(), angles.sin()], dim=-1)[None]
    target = torch.arange(3.0).view(1, 3, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert match(target, x, y).item() == 1
        assert match(target, x.bfloat16(), y).item() == 1
