"""Chunked cross-entropy against the plain form: all logits, masked, log_softmax, gathered."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.modules import boltzmann
from m3i_dsl.modules.boltzmann import SampleBoltzmann, TextBoltzmann, cross_entropy
from m3i_dsl.modules.chunked import Mask, chunked_cross_entropy
from m3i_dsl.modules.queue import Queue
from m3i_dsl.modules.weightings import GradNormWeighting

ROWS, COLUMNS, WIDTH = 23, 17, 5
LABELS = (torch.arange(ROWS) * 7) % COLUMNS
BLOCKS = [1, COLUMNS, 5 * COLUMNS, 8 * COLUMNS, ROWS * COLUMNS, 1 << 20]
"""Of 1, 1, 5, 8, 23 rows and of more than there are; 5 and 8 do not divide 23."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.requires_grad_()


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def plain(
    prediction: Tensor,
    candidates: Tensor,
    labels: Tensor,
    inverse: Tensor | float = 1.0,
    mask: Tensor | None = None,
    smoothing: float = 0.0,
    own: Tensor | None = None,
) -> Tensor:
    logits = prediction @ candidates.T
    if own is not None:
        logits = torch.cat([(prediction * own).sum(dim=1, keepdim=True), logits], dim=1)
    return cross_entropy(logits * inverse, labels, mask, smoothing)


def assert_same(got: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Loss and the gradients at `inputs`, within 1e-12."""
    # A factor, as a weighting would give, so that the gradient that comes in is not 1.
    ours, theirs = (torch.autograd.grad(3 * loss, inputs) for loss in (got, expected))
    for one, other in zip((got, *ours), (expected, *theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def ragged(rows: int, columns: int, labels: Tensor) -> Tensor:
    """bool [rows, columns]: about two in three, and always the label."""
    mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(9)) < 0.67
    return mask.scatter(1, labels.unsqueeze(1), True)


RAGGED = ragged(ROWS, COLUMNS, LABELS)
MOST = torch.arange(COLUMNS).unsqueeze(0) != COLUMNS - 1
MOST_LABELS = LABELS.clamp(max=COLUMNS - 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("block", BLOCKS)
def test_loss_and_all_gradients_are_those_of_the_plain_form(block: int, smoothing: float) -> None:
    inputs = [normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1), scalar(4.0)]
    prediction, candidates, inverse = inputs
    got = chunked_cross_entropy(prediction, candidates, LABELS, inverse, None, smoothing, block=block)
    assert_same(got, plain(prediction, candidates, LABELS, inverse, None, smoothing), inputs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("mask", "made", "labels"),
    [
        (RAGGED, RAGGED, LABELS),
        (RAGGED, lambda rows: RAGGED[rows], LABELS),
        (MOST, MOST, MOST_LABELS),
        (MOST, MOST[0], MOST_LABELS),
    ],
    ids=["full", "made by rows", "one row", "one dimension"],
)
def test_masked_candidates_are_no_choice(mask: Tensor, made: Mask, labels: Tensor, smoothing: float) -> None:
    inputs = [normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1), scalar(4.0)]
    prediction, candidates, inverse = inputs
    got = chunked_cross_entropy(prediction, candidates, labels, inverse, made, smoothing, block=5 * COLUMNS)
    assert_same(got, plain(prediction, candidates, labels, inverse, mask, smoothing), inputs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_own_candidate_of_a_row_is_column_zero(smoothing: float) -> None:
    inputs = [normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1), normal(ROWS, WIDTH, seed=2), scalar(4.0)]
    prediction, candidates, own, inverse = inputs
    labels = LABELS * (torch.arange(ROWS) % 2)  # a zero in every second row
    mask = ragged(ROWS, COLUMNS + 1, labels)
    got = chunked_cross_entropy(prediction, candidates, labels, inverse, mask, smoothing, own=own, block=5 * COLUMNS)
    assert_same(got, plain(prediction, candidates, labels, inverse, mask, smoothing, own), inputs)


@pytest.mark.parametrize("wanted", range(4))
def test_each_gradient_is_right_when_it_is_the_only_one(wanted: int) -> None:
    inputs = [normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1), normal(ROWS, WIDTH, seed=2), scalar(4.0)]
    prediction, candidates, own, inverse = (x if i == wanted else x.detach() for i, x in enumerate(inputs))
    labels = torch.zeros(ROWS, dtype=torch.int64)
    got = chunked_cross_entropy(prediction, candidates, labels, inverse, own=own, block=5 * COLUMNS)
    assert_same(got, plain(prediction, candidates, labels, inverse, own=own), [inputs[wanted]])


def test_huge_logits_neither_overflow_nor_lose_the_loss() -> None:
    prediction, candidates = inputs = normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1)
    got = chunked_cross_entropy(prediction, candidates, LABELS, 1e4, block=5 * COLUMNS)
    expected = plain(prediction, candidates, LABELS, 1e4)
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=0)
    for one, other in zip(torch.autograd.grad(got, inputs), torch.autograd.grad(expected, inputs), strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=0, atol=1e-8)  # of logits of 1e4, which are exact to 1e-12


def test_without_gradients_the_loss_is_the_same_and_nothing_is_recorded() -> None:
    prediction, candidates = normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1)
    with torch.no_grad():
        got = chunked_cross_entropy(prediction, candidates, LABELS, scalar(4.0), block=5 * COLUMNS)
    assert not got.requires_grad
    torch.testing.assert_close(got, plain(prediction, candidates, LABELS, 4.0).detach(), rtol=0, atol=1e-12)
    assert not chunked_cross_entropy(prediction.detach(), candidates.detach(), LABELS).requires_grad


def test_the_inputs_are_left_as_they_were() -> None:
    prediction, candidates, own = normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1), normal(ROWS, WIDTH, seed=2)
    before = [x.detach().clone() for x in (prediction, candidates, own)]
    chunked_cross_entropy(prediction, candidates, LABELS, 4.0, own=own, block=5 * COLUMNS).backward()
    for x, was in zip((prediction, candidates, own), before, strict=True):
        assert torch.equal(x, was)


def test_a_retained_graph_gives_the_same_gradients_each_time_and_they_accumulate() -> None:
    prediction, candidates = normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1)
    loss = chunked_cross_entropy(prediction, candidates, LABELS, 4.0, block=5 * COLUMNS)
    (first,) = torch.autograd.grad(loss, prediction, retain_graph=True)
    kept = first.clone()
    first.mul_(7)  # a gradient belongs to who asked for it, as after clipping in place
    (second,) = torch.autograd.grad(loss, prediction, retain_graph=True)
    assert torch.equal(second, kept)
    loss.backward(retain_graph=True)
    loss.backward()
    assert prediction.grad is not None and candidates.grad is not None
    torch.testing.assert_close(prediction.grad, 2 * kept, rtol=0, atol=1e-15)


def test_second_derivatives_are_refused_not_wrong() -> None:
    prediction, candidates = normal(ROWS, WIDTH), normal(COLUMNS, WIDTH, seed=1)
    loss = chunked_cross_entropy(prediction, candidates, LABELS, 4.0)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(loss, prediction, create_graph=True)


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_under_autocast_logits_and_loss_are_float32(narrow: torch.dtype) -> None:
    rows = normal(ROWS, WIDTH).detach().to(narrow).requires_grad_()
    columns = normal(COLUMNS, WIDTH, seed=1).detach().to(narrow).requires_grad_()
    inverse = torch.tensor(4.0, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        got = chunked_cross_entropy(rows, columns, LABELS, inverse, block=5 * COLUMNS)
        got.backward()
    assert got.dtype == torch.float32
    wide = [rows.detach().double().requires_grad_(), columns.detach().double().requires_grad_(), scalar(4.0)]
    expected = plain(wide[0], wide[1], LABELS, wide[2])
    expected.backward()
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=0)
    for one, other in zip((rows, columns, inverse), wide, strict=True):
        assert one.grad is not None and other.grad is not None and one.grad.dtype == one.dtype
        tolerance = 1e-6 if one is inverse else 1e-2  # the gradient of a narrow input is narrow
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=tolerance, atol=1e-5)


def test_shapes_alone_are_enough() -> None:
    prediction = torch.empty(ROWS, WIDTH, device="meta", requires_grad=True)
    candidates = torch.empty(COLUMNS, WIDTH, device="meta", requires_grad=True)
    loss = chunked_cross_entropy(prediction, candidates, LABELS.to("meta"), 4.0, None, 0.1, block=5 * COLUMNS)
    loss.backward()
    assert loss.shape == () and prediction.grad is not None and prediction.grad.shape == prediction.shape


def saved_bytes(loss: nn.Module, *inputs: Tensor) -> int:
    """What the forward pass keeps for the backward pass, each storage once, less the inputs themselves."""
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x)
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss(*inputs)
    for x in inputs:
        sizes.pop(x.untyped_storage().data_ptr(), None)
    return sum(sizes.values())


def test_what_is_kept_has_the_size_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    count, width = 256, 4
    prediction, target = normal(count, width), normal(count, width, seed=1)
    loss = SampleBoltzmann(0.2, learned=True, label_smoothing=0.1).double()
    whole = saved_bytes(loss, prediction, target)
    assert whole >= count * count * 8
    monkeypatch.setattr(boltzmann, "LARGEST_WHOLE", 0)
    assert saved_bytes(loss, prediction, target) <= (2 * count * width + 8) * 8


def both(monkeypatch: pytest.MonkeyPatch, loss: nn.Module, inputs: list[Tensor], *others: Tensor) -> None:
    """Asserts that the plain and the chunked form of `loss` agree in value and in the gradients of `inputs`."""
    plainly = copy.deepcopy(loss)
    expected = plainly(*inputs, *others)
    theirs = torch.autograd.grad(expected, [*inputs, *plainly.parameters()])
    monkeypatch.setattr(boltzmann, "LARGEST_WHOLE", 0)
    calls: list[int] = []

    def counted(prediction: Tensor, *arguments: Tensor, **options: Tensor) -> Tensor:
        calls.append(len(prediction))
        return chunked_cross_entropy(prediction, *arguments, **options, block=5 * len(prediction))  # type: ignore[arg-type]

    monkeypatch.setattr(boltzmann, "chunked_cross_entropy", counted)
    got = loss(*inputs, *others)
    assert calls, "the chunked form was not taken"
    ours = torch.autograd.grad(got, [*inputs, *loss.parameters()])
    for one, other in zip((got, *ours), (expected, *theirs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for name, value in plainly.state_dict().items():
        assert torch.equal(value, loss.state_dict()[name]), name


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_sample_loss_is_the_same_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, symmetric: bool, learned: bool
) -> None:
    loss = SampleBoltzmann(0.2, learned=learned, symmetric=symmetric, label_smoothing=0.1).double()
    both(monkeypatch, loss, [normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1)])


@pytest.mark.parametrize("learned", [False, True])
def test_the_queue_loss_is_the_same_in_both_forms(monkeypatch: pytest.MonkeyPatch, learned: bool) -> None:
    loss = SampleBoltzmann(0.2, learned=learned, label_smoothing=0.1, queue=Queue(3 * ROWS, WIDTH)).double()
    both(monkeypatch, loss, [normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1)])


@pytest.mark.parametrize("partnered", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_text_loss_is_the_same_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, symmetric: bool, partnered: bool
) -> None:
    tokens = torch.tensor([[k * k % 7, 1] for k in range(22)])  # four captions, several times each
    loss = TextBoltzmann(0.2, learned=True, symmetric=symmetric, label_smoothing=0.1).double()
    inputs = [normal(22, WIDTH), normal(22, WIDTH, seed=1)]

    class Partnered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, prediction: Tensor, texts: Tensor, tokens: Tensor) -> Tensor:
            return self.loss(prediction, texts, tokens, partnered)

    both(monkeypatch, Partnered(), inputs, tokens)


def test_a_temperature_at_its_bound_stays_there_in_the_chunked_form(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = SampleBoltzmann(0.001, learned=True).double()  # 1 / tau of 1000, held at 100
    both(monkeypatch, loss, [normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1)])
    assert loss.temperature.log_inverse is not None
    torch.testing.assert_close(loss.temperature.inverse(), scalar(100.0).detach(), check_dtype=False, rtol=1e-6, atol=0)


def test_equal_captions_are_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = torch.tensor([[k * k % 7, 1] for k in range(22)])
    expected = [next(j for j in range(22) if torch.equal(tokens[j], tokens[i])) for i in range(22)]
    for size in (0, 5 * 22, 1 << 20):
        monkeypatch.setattr(boltzmann, "LARGEST_WHOLE", size)
        assert boltzmann.first_occurrences(tokens).tolist() == expected


def test_grad_norm_measures_the_chunked_loss_and_the_gradient_still_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[Tensor, Tensor]] = []
    for largest in (1 << 20, 0):
        monkeypatch.setattr(boltzmann, "LARGEST_WHOLE", largest)
        shared, target, loss = normal(ROWS, WIDTH), normal(ROWS, WIDTH, seed=1).detach(), SampleBoltzmann(0.2)
        total, scales = GradNormWeighting((1.0, 2.0)).double()([loss(shared, target), shared.square().mean()], shared)
        total.backward()
        assert shared.grad is not None
        found.append((scales, shared.grad))
    for plainly, in_chunks in zip(*found, strict=True):
        torch.testing.assert_close(in_chunks, plainly, rtol=0, atol=1e-12)
