"""Each word of the package by itself, against its formula."""

# pyright: reportMissingImports=false
from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import (
    EncoderContext,
    Grid,
    LikelihoodShape,
    PredictorShape,
    RepresentationShape,
    Split,
    Splits,
    Storage,
    Unreadable,
    ViewState,
    WordError,
)
from m3i_dsl.vocabulary.values import Rate


def draws(samples: int) -> Draws:
    return Draws(0, 0, np.arange(samples), "view/step")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_rings_are_drawn_around_their_centre() -> None:
    from my_words.rings import Rings

    word = Rings(samples=30, size=64)
    opened = word.open(Path())
    assert len(opened) == word.describe(Path()).samples == 24 and len(opened.evaluation()) == 6
    sample = opened.read(1, frozenset({"drawing", "number", "centre"}))
    assert sample["number"] == 1, "two rings"
    bright = np.argwhere(sample["drawing"].pixels[..., 0] > 150)
    distances = np.hypot(*(bright / 31.5 - 1 - sample["centre"]).T)
    inner = distances.min()
    assert set(np.round(distances / inner).astype(int)) == {1, 2}
    assert list(opened.read(1, frozenset({"centre"}))) == ["centre"]


@pytest.mark.parametrize("stored", [(0.5,), (0, 1.5), "middle", (math.nan, 0)])
def test_what_is_no_place_is_not_read(stored: object) -> None:
    from my_words.place import Place

    with pytest.raises(Unreadable):
        Place().decode(stored, Storage())
    assert Place().collate([Place().decode((0.5, -1), Storage())], None, Path()).tolist() == [[0.5, -1]]


def test_gamma_takes_powers_of_its_range() -> None:
    from my_words.gamma import Gamma

    images, state = torch.full((64, 3, 2, 2), 0.25), ViewState.whole(np.full((64, 2), 2))
    found = Gamma(power=(0.5, 2.0), p=0.5).apply(images, state, draws(64))[:, 0, 0, 0]
    assert found.min() >= 0.0625 and found.max() <= 0.5
    assert 16 < (found == 0.25).sum() < 48


def test_spiral_hides_a_stretch_of_it() -> None:
    from my_words.spiral import Spiral

    grid, word = Grid(3, 3), Spiral(0.4)
    hidden = word.sample(draws(50), grid, 8)
    wound = hidden[:, [0, 1, 2, 5, 8, 7, 6, 3, 4]]
    assert hidden.sum(axis=1).tolist() == 50 * [word.hidden(grid, 8)] == 50 * [4]
    begins = (wound & ~np.roll(wound, 1, axis=1)).sum(axis=1)
    assert begins.tolist() == 50 * [1], "one stretch"
    assert len(np.unique(wound, axis=0)) == 9, "that begins anywhere"
    with pytest.raises(WordError):
        Spiral(0.99).hidden(grid, 8)


def test_swirl_shows_the_second_image_along_a_spiral() -> None:
    from my_words.spiral import Spiral
    from my_words.swirl import Swirl

    word = Swirl(ratio=0.25)
    assert word.mask() == Spiral(0.25) and word.mask().hidden(Grid(4, 4), 8) == 4
    assert (word.attention, word.context) == ("joint", "all")


def test_mixer_does_not_see_what_is_hidden() -> None:
    from my_words.mixer import Mixer

    word = Mixer(image=32, width=16, depth=2)
    module, shape = word.build(EncoderContext()), word.shape()
    image, hidden = torch.randn(2, 3, 32, 32), torch.zeros(2, 16, dtype=torch.bool)
    hidden[:, 0] = True
    features = module(image, hidden)
    assert features.shape == (2, shape.prefix + shape.grid.tokens, shape.width)
    image[:, :, :8, :8] = 0
    assert torch.equal(module(image, hidden), features)
    assert not torch.equal(module(image), features)
    last, tapped = module(image, hidden, taps=2)
    assert torch.equal(last, features) and torch.equal(module.norm(tapped[:, -1]), last)


def test_gradients_fall_into_the_bins_of_their_directions() -> None:
    from my_words.gradient_histogram import GradientHistogram

    word = GradientHistogram(bins=4)
    module = word.build(RepresentationShape(((3, 3 * 6 * 6),), word.width(None, 6)))
    right = torch.linspace(0, 1, 6, dtype=torch.float64).expand(6, 6)
    patches = torch.stack([each.unsqueeze(-1).expand(6, 6, 3).flatten() for each in (right, right.T, right + right.T)])
    expected = torch.eye(4, dtype=torch.float64)[[0, 2, 1]]
    torch.testing.assert_close(module(patches[None])[0], expected)


def test_gated_maps_each_token_by_itself() -> None:
    from my_words.gated import Gated

    module, tokens = Gated(hidden=8).build(PredictorShape(6, 5)), torch.randn(2, 4, 6)
    assert module(tokens).shape == (2, 4, 5)
    torch.testing.assert_close(module(tokens)[:, 1:2], module(tokens[:, 1:2]))


def test_uniformity_is_the_mean_over_all_pairs() -> None:
    from my_words.uniformity import Uniformity

    rows, module = random(6, 4), Uniformity(weight=0.5, t=3.0).build()
    units = [row / row.norm() for row in rows]
    pairs = [torch.exp(-3 * (a - b).square().sum()) for i, a in enumerate(units) for b in units[:i]]
    torch.testing.assert_close(module(rows, rows), 0.5 * torch.stack(pairs).mean().log())
    torch.testing.assert_close(module(rows[:1].expand(6, 4), rows), rows.new_zeros(()))


def test_balance_takes_back_what_every_image_chooses() -> None:
    from my_words.balance import Balance

    scores, module = random(8, 5), Balance(temperature=0.5).build_assignment(5)
    shares = module(scores)
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(8, dtype=torch.float64))
    favoured = scores + torch.tensor([5.0, 0, 0, 0, 0])
    assert module(favoured).mean(dim=0)[0] < 0.6 < 0.99 < (favoured / 0.5).softmax(dim=-1).mean(dim=0)[0]
    torch.testing.assert_close(module(scores[:1].expand(8, 5)), torch.full((8, 5), 0.2, dtype=torch.float64))
    assert len(module(scores, scores)) == 2


def test_student_t_is_its_log_density() -> None:
    from my_words.student_t import StudentT

    prediction, target = random(4, 8), random(4, 8, seed=1)
    loss = StudentT(nu=3.0, scale=0.5).build(LikelihoodShape("compare", 8))(prediction, target)
    density = torch.distributions.StudentT(3.0, prediction, 0.5)
    torch.testing.assert_close(loss, (density.log_prob(prediction) - density.log_prob(target)).mean())


def test_dynamic_average_favours_what_falls_slowly() -> None:
    from my_words.dynamic_average import DynamicAverage

    module = DynamicAverage(temperature=1.0).build(("gaussian", "boltzmann"), (1.0, 2.0)).double()
    losses = [torch.tensor(pair, dtype=torch.float64).unbind() for pair in ([4.0, 1.0], [2.0, 1.0], [3.0, 5.0])]
    for pair in losses[:2]:
        total, weights = module(pair, None)
        assert weights.tolist() == [1, 2] and total == pair[0] + 2 * pair[1]
    shares = torch.tensor([0.5, 1.0], dtype=torch.float64).softmax(dim=0)
    expected = 2 * shares * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(module.eval()(losses[2], None)[1], expected)
    torch.testing.assert_close(module(losses[2], None)[1], expected, msg="evaluation counts no step")


def test_lion_steps_by_the_sign() -> None:
    from my_words.lion import Lion

    module = nn.Linear(2, 1).double()
    weight, bias = module.weight.detach().clone(), module.bias.detach().clone()
    optimizer = Lion(Rate(0.1, 256), weight_decay=0.5).build(module, 512)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.2, 0.2]
    gradients = [torch.tensor([[1.0, -2.0]]).double(), torch.tensor([[-0.05, 0.0]]).double()]
    for gradient in gradients:
        module.weight.grad, module.bias.grad = gradient, torch.ones(1).double()
        optimizer.step()
        weight = weight * (1 - 0.2 * 0.5) - 0.2 * torch.tensor([[1.0, -1.0]])
        if gradient is gradients[1]:  # 0.9 * 0.01 - 0.1 * 0.05 is still above 0
            torch.testing.assert_close(module.weight.detach(), weight)
    torch.testing.assert_close(module.bias.detach(), bias - 0.4)
    with pytest.raises(WordError):
        Lion(Rate(0.1, None), betas=(0.9,))


def test_late_falls_at_the_end() -> None:
    from my_words.late import Late

    factors = [Late(decay=0.5).factor(progress) for progress in (0, 0.25, 0.5, 0.75, 1)]
    assert factors == [1, 1, 1, 0.5, 0]


def test_rankme_counts_dimensions() -> None:
    from my_words.rankme import RankMe

    split = Split(torch.zeros(40, 3, 2, 2), torch.zeros(40, dtype=torch.int64))
    for features, rank in ((torch.eye(5).repeat(8, 1), 5), (torch.ones(40, 5), 1)):
        subject = SimpleNamespace(features=lambda split, pool, features=features: features)
        found = RankMe().measure(subject, Splits(split, split, ()))
        assert found.value == pytest.approx(rank) and found.measure.unit == "dimensions"
