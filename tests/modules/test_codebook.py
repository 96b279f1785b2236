"""The codebook against its formulas, row by row in float64."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from m3i_dsl.driver import check_file
from m3i_dsl.modules.predictors import codebook
from m3i_dsl.modules.predictors.codebook import CodebookHead
from m3i_dsl.modules.predictors.joined import JoinedHead
from m3i_dsl.runtime.learned import Learned
from m3i_dsl.source import read_file
from m3i_dsl.vocabulary.kinds import PredictorShape
from m3i_dsl.vocabulary.predictors.blocks import Blocks
from m3i_dsl.vocabulary.predictors.codebook import Codebook
from m3i_dsl.vocabulary.predictors.decoder import Decoder
from m3i_dsl.vocabulary.predictors.joined import Joined
from m3i_dsl.vocabulary.predictors.linear import Linear
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from tests.numerics.recipes import ROOT
from tests.numerics.reference import codes as by_hand

SIZE, WIDTH = 7, 5


def head(*, kmeans: bool = False, commitment: float = 0.5) -> CodebookHead:
    torch.manual_seed(0)
    return CodebookHead(WIDTH, SIZE, decay=0.8, commitment=commitment, kmeans=kmeans).double()


def features(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)


def written(book: CodebookHead) -> Any:
    """What the reference reads and moves, apart from the module."""
    state = {name: buffer.clone() for name, buffer in book.named_buffers()}
    return SimpleNamespace(**state, training=book.training, decay=book.decay, commitment=book.commitment)


@pytest.mark.parametrize("kmeans", [False, True])
def test_three_steps_are_those_by_hand(kmeans: bool) -> None:
    book = head(kmeans=kmeans)
    expected = written(book)
    for step in range(3):
        z, other = features(step), features(step)
        got, commitment = book(z)
        wanted, wanted_commitment = by_hand.quantised(expected, other)
        (got.sin().sum() + commitment).backward()
        (wanted.sin().sum() + wanted_commitment).backward()
        torch.testing.assert_close((got, commitment), (wanted, wanted_commitment))
        torch.testing.assert_close(z.grad, other.grad)
        for name, buffer in book.named_buffers():
            torch.testing.assert_close(buffer, getattr(expected, name), msg=name)
    assert book.started


def test_the_gradient_passes_straight_through_and_the_commitment_is_a_mean() -> None:
    book, z = head(commitment=1), features()
    unit = torch.nn.functional.normalize(z, dim=-1)
    before = book.vectors.clone()
    got, commitment = book(z)
    (through,) = torch.autograd.grad((got * got.detach()).sum(), z, retain_graph=True)
    (direct,) = torch.autograd.grad((unit * got.detach()).sum(), z)
    torch.testing.assert_close(through, direct)
    nearest = before[book.eval()(z, codes=True)]
    torch.testing.assert_close(commitment, (nearest - unit).square().sum() / (3 * 4 * WIDTH))


def test_one_that_nobody_chose_stays_and_the_others_keep_their_length() -> None:
    book, z = head(), features()[:1, :1]
    before = book.vectors.clone()
    chosen = int(book.eval()(z, codes=True))
    book.train()(z)
    assert [k for k in range(SIZE) if not torch.equal(book.vectors[k], before[k])] == [chosen]
    assert float(book.vectors[chosen].norm()) == pytest.approx(1, abs=1e-14)


def test_evaluation_moves_nothing_and_a_state_that_was_started_starts_no_more() -> None:
    book = head(kmeans=True)
    book(features())
    other = head(kmeans=True)
    other.load_state_dict(book.state_dict())
    one, two = copy.deepcopy(book).eval(), other.eval()
    torch.testing.assert_close(one(features(2)), two(features(2)))
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), book.buffers(), strict=True))
    torch.testing.assert_close(book.train()(features(2)), other.train()(features(2)))
    torch.testing.assert_close(book.vectors, other.vectors)


def test_blocks_of_rows_are_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = head().eval()(features(), codes=True)
    monkeypatch.setattr(codebook, "LARGEST_BLOCK", 2 * SIZE)
    assert torch.equal(head().eval()(features(), codes=True), whole)


def test_codes_that_nobody_uses_are_counted() -> None:
    book, z = head(), features()[:1, :1]
    for _ in range(20):
        book(z)
    said = book.learned_scalars()
    assert float(said["codes_used"]) == pytest.approx(1 / SIZE)
    assert float(said["perplexity"]) == pytest.approx(1)
    assert book.floors()["codes_used"].limit == 0.1


def test_widths_flow_from_left_to_right() -> None:
    joined = Joined((Blocks(layers=1, heads=2, width=12), Mlp(hidden=20, width=6), Linear()))
    assert joined.output_width(8, 10) == 10
    module = joined.build(PredictorShape(8, 10))
    assert module(torch.randn(2, 4, 8)).shape == (2, 4, 10)
    widths = [tuple(layer.weight.shape) for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths[0] == (12, 8) and widths[-3:] == [(20, 12), (6, 20), (10, 6)]
    assert joined.text() == " | ".join(part.text() for part in joined.parts)


def test_a_joined_predictor_is_what_its_parts_are() -> None:
    tokenizer = Joined((Mlp(width=4), Codebook(size=9)))
    assert tokenizer.codes() == 9 and tokenizer.effects_of() == Codebook().effects_of()
    asking = Joined((Decoder(heads=2), Linear()))
    assert asking.queries and not asking.per_token and asking.relative() == Decoder().relative()
    assert asking.trims() and not Joined((Decoder(heads=2), Blocks())).trims()
    assert Joined((Mlp(width=4), Linear())).per_token


def test_the_last_of_joined_heads_is_asked_for_codes() -> None:
    book = head().eval()
    joined = JoinedHead([torch.nn.Linear(3, WIDTH).double(), book])
    z = torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(joined(z, codes=True), book(joined.parts[0](z), codes=True))


def test_few_codes_are_warned_of_once_an_episode() -> None:
    recipe = check_file(read_file(ROOT / "vqkd.m3i")).required()
    root, group = torch.nn.Module(), torch.nn.Module()
    root.add_module("projectors", group)
    group.add_module("tokenizer", JoinedHead([torch.nn.Linear(3, WIDTH), head()]))
    learned = Learned(root, recipe)
    assert set(learned.values()) == {"tokenizer.codes_used", "tokenizer.perplexity"}
    said = [len(learned.low({"tokenizer.codes_used": share})) for share in (0.2, 0.09, 0.05, 0.2, 0.02)]
    assert said == [0, 1, 0, 0, 1]
    root.eval()
    assert learned.low({"tokenizer.codes_used": 0.0}) == [], "a frozen tokenizer is as it was left"
