"""Choosing, swapping, blending and pooling tokens, against loops."""

import pytest
import torch

from m3i_dsl.modules import tokens


def masks(batch: int, length: int, count: int) -> torch.Tensor:
    """bool [batch, length] with `count` True in each row, at random places."""
    order = torch.rand(batch, length, generator=torch.Generator().manual_seed(batch + length)).argsort(dim=1)
    return order < count


@pytest.mark.parametrize("prefix", [0, 2])
def test_gather_takes_the_chosen_tokens_in_order_after_the_prefix(prefix: int) -> None:
    x = torch.randn(3, prefix + 7, 4, dtype=torch.float64)
    which = masks(3, 7, 3)
    got = tokens.gather_tokens(x, which, 3, prefix)
    for row in range(3):
        chosen = [position for position in range(7) if which[row, position]]
        assert torch.equal(got[row], torch.cat([x[row, :prefix], x[row, prefix:][chosen]]))


def test_gather_gives_the_gradient_back_to_the_chosen_tokens_only() -> None:
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    which = masks(2, 5, 2)
    tokens.gather_tokens(x, which, 2).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, which.unsqueeze(-1).expand(-1, -1, 3).double())


def test_gather_has_a_static_shape_under_compilation() -> None:
    compiled = torch.compile(tokens.gather_tokens, backend="eager", fullgraph=True)
    x, which = torch.randn(2, 6, 3), masks(2, 6, 4)
    assert torch.equal(compiled(x, which, 4, 0), tokens.gather_tokens(x, which, 4, 0))


def test_partner_swaps_neighbours_and_is_its_own_inverse() -> None:
    x = torch.arange(6)
    assert tokens.partner(x).tolist() == [1, 0, 3, 2, 5, 4]
    y = torch.randn(4, 2, 3)
    assert torch.equal(tokens.partner(tokens.partner(y)), y)


def test_blend_takes_whole_patches_of_the_second_image() -> None:
    first, second = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6)
    hidden = masks(2, 6, 3)
    image = tokens.blend(first, second, hidden, 2, 3)
    for row in range(2):
        for r in range(2):
            for c in range(3):
                block = (row, slice(None), slice(2 * r, 2 * r + 2), slice(2 * c, 2 * c + 2))
                assert torch.equal(image[block], (second if hidden[row, 3 * r + c] else first)[block])


def test_a_mix_shows_each_patch_of_both_images_exactly_once() -> None:
    images = torch.randn(4, 3, 8, 8)
    hidden = masks(4, 4, 2)
    mixed = tokens.blend(images, tokens.partner(images), hidden, 2, 2)
    other = tokens.blend(images, tokens.partner(images), tokens.invert(hidden), 2, 2)
    assert torch.equal(mixed + other, images + tokens.partner(images))
    assert torch.equal(tokens.blend(images, tokens.partner(images), torch.zeros_like(hidden), 2, 2), images)


def test_pool_and_patches_leave_the_prefix_out() -> None:
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    assert torch.equal(tokens.patches(x, 2), x[:, 2:])
    assert torch.equal(tokens.pool(x, 2, "mean"), x[:, 2:].mean(1))
    assert torch.equal(tokens.pool(x, 2, "class"), x[:, 0])
    with pytest.raises(ValueError, match="no class token"):
        tokens.pool(x, 0, "class")
