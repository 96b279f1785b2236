"""Softmax over candidate sets, against loops over the candidates."""

import copy
import math

import pytest
import torch
from torch import Tensor

from m3i_dsl.modules import boltzmann
from m3i_dsl.modules.boltzmann import CategoryBoltzmann, SampleBoltzmann, TextBoltzmann
from m3i_dsl.modules.queue import Queue


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def minus_log_softmax(logits: list[Tensor], positive: int) -> Tensor:
    return -(logits[positive] - torch.stack(logits).exp().sum().log())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_categories_are_cross_entropy_with_the_bias_as_one_more_coordinate(smoothing: float) -> None:
    prediction, table, bias, labels = normal(4, 3), normal(5, 3, seed=1), normal(5, seed=2), torch.tensor([4, 0, 1, 1])
    got = CategoryBoltzmann(0.5, label_smoothing=smoothing)(prediction, table, bias, labels)
    extended = torch.cat([table, bias[:, None]], dim=1)
    logits = torch.cat([prediction, torch.ones(4, 1).double()], dim=1) @ extended.T / 0.5
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(got, expected)
    without = CategoryBoltzmann()(prediction, table, None, labels)
    torch.testing.assert_close(without, torch.nn.functional.cross_entropy(prediction @ table.T, labels))


def test_a_learned_temperature_equals_the_fixed_one_and_gets_a_gradient() -> None:
    prediction, table, labels = normal(4, 3), normal(5, 3, seed=1), torch.tensor([4, 0, 1, 1])
    learned = CategoryBoltzmann(0.25, learned=True).double()
    loss = learned(prediction, table, None, labels)
    torch.testing.assert_close(loss, CategoryBoltzmann(0.25)(prediction, table, None, labels), rtol=1e-6, atol=0)
    loss.backward()
    assert learned.temperature.log_inverse is not None and learned.temperature.log_inverse.grad is not None


def test_the_inverse_temperature_stops_at_100_and_can_come_back() -> None:
    temperature = boltzmann.Temperature(0.001, learned=True).double()
    assert temperature.log_inverse is not None
    logits = torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(temperature(logits), torch.full((1,), 100.0).double())
    temperature(logits).sum().backward()  # a step would lower it
    assert temperature.log_inverse.grad is not None
    torch.testing.assert_close(temperature.log_inverse.grad, torch.tensor([100.0]).double())
    temperature.log_inverse.grad = None
    (-temperature(logits).sum()).backward()  # a step would raise it further
    assert temperature.log_inverse.grad is not None and temperature.log_inverse.grad == 0


TOKENS = torch.tensor([[5, 7, 0], [5, 8, 1], [5, 7, 0], [9, 0, 0], [5, 8, 1], [2, 2, 2]])
"""Rows 0 and 2 hold one caption, rows 1 and 4 another."""


def text_reference(prediction: Tensor, texts: Tensor, partnered: bool, symmetric: bool) -> Tensor:
    """CLIP with each caption once, by hand: temperature 0.1."""
    captions = [tuple(row) for row in TOKENS.tolist()]
    first = [captions.index(caption) for caption in captions]
    own = [first[i ^ 1] if partnered else first[i] for i in range(6)]
    unique = sorted(set(first))
    losses: list[Tensor] = []
    for i in range(6):
        logits = [prediction[i] @ texts[j] / 0.1 for j in unique]
        losses.append(minus_log_softmax(logits, unique.index(own[i])))
    loss = torch.stack(losses).mean()
    if not symmetric:
        return loss
    back: list[Tensor] = []
    for i in range(6):
        images = [j for j in range(6) if j == i or own[j] != own[i]]
        back.append(minus_log_softmax([prediction[j] @ texts[own[i]] / 0.1 for j in images], images.index(i)))
    return (loss + torch.stack(back).mean()) / 2


@pytest.mark.parametrize("partnered", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_each_caption_is_a_candidate_once(partnered: bool, symmetric: bool) -> None:
    prediction, texts = normal(6, 4).requires_grad_(), normal(6, 4, seed=1)
    texts = texts[boltzmann.first_occurrences(TOKENS)].requires_grad_()  # equal captions have equal embeddings
    got = TextBoltzmann(0.1, symmetric=symmetric)(prediction, texts, TOKENS, partnered)
    expected = text_reference(prediction, texts, partnered, symmetric)
    torch.testing.assert_close(got, expected)
    for a, b in zip(
        torch.autograd.grad(got, (prediction, texts)), torch.autograd.grad(expected, (prediction, texts)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_without_repeats_the_symmetric_text_loss_is_clip() -> None:
    prediction, texts = normal(6, 4), normal(6, 4, seed=1)
    tokens = torch.arange(1, 7).unsqueeze(1)
    logits, labels = prediction @ texts.T / 0.07, torch.arange(6)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(TextBoltzmann(0.07)(prediction, texts, tokens), expected)


def test_label_smoothing_spreads_over_candidates_only() -> None:
    prediction, texts = normal(6, 4), normal(6, 4, seed=1)
    got = TextBoltzmann(0.1, symmetric=False, label_smoothing=0.3)(prediction, texts, TOKENS)
    unique = [0, 1, 3, 5]
    labels = torch.tensor([unique.index(i) for i in boltzmann.first_occurrences(TOKENS).tolist()])
    expected = torch.nn.functional.cross_entropy(prediction @ texts[unique].T / 0.1, labels, label_smoothing=0.3)
    torch.testing.assert_close(got, expected)


def test_first_occurrences_compares_whole_captions() -> None:
    assert boltzmann.first_occurrences(TOKENS).tolist() == [0, 1, 0, 3, 1, 5]
    large = torch.full((3, 77), 300_000)
    large[1, 76] += 1
    assert boltzmann.first_occurrences(large).tolist() == [0, 1, 0]


@pytest.mark.parametrize("symmetric", [False, True])
def test_global_samples_are_cross_entropy_over_the_batch(symmetric: bool) -> None:
    prediction, target = normal(5, 3), normal(5, 3, seed=1)
    logits, labels = prediction @ target.T / 0.2, torch.arange(5)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    if symmetric:
        expected = (expected + torch.nn.functional.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(SampleBoltzmann(0.2, symmetric=symmetric)(prediction, target), expected)


def dense_reference(prediction: Tensor, target: Tensor, strided: list[int]) -> Tensor:
    """Anchors (n, l); candidates: own target token, then the strided tokens of every image but that one again."""
    losses: list[Tensor] = []
    batch, queries, _ = target.shape
    for n in range(batch):
        for q in range(queries):
            others = [(m, s) for m in range(batch) for s in strided if (m, s) != (n, q)]
            logits = [prediction[n, q] @ target[m, s] / 0.2 for m, s in [(n, q), *others]]
            losses.append(minus_log_softmax(logits, 0))
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    ("count", "strided"), [(None, [0, 1, 2, 3, 4]), (2, [0, 2]), (3, [0, 1, 3]), (99, [0, 1, 2, 3, 4])]
)
def test_dense_samples_count_the_own_token_once(count: int | None, strided: list[int]) -> None:
    prediction, target = normal(3, 5, 4).requires_grad_(), normal(3, 5, 4, seed=1).requires_grad_()
    got = SampleBoltzmann(0.2, tokens_per_image=count)(prediction, target)
    expected = dense_reference(prediction, target, strided)
    torch.testing.assert_close(got, expected)
    for a, b in zip(
        torch.autograd.grad(got, (prediction, target)), torch.autograd.grad(expected, (prediction, target)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_dense_samples_in_blocks_equal_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, target = normal(5, 4, 3).requires_grad_(), normal(5, 4, 3, seed=1).requires_grad_()
    whole = SampleBoltzmann(0.2, tokens_per_image=2)(prediction, target)
    gradients = torch.autograd.grad(whole, (prediction, target))
    monkeypatch.setattr(boltzmann, "LARGEST_BLOCK", 2 * 4 * 10)
    blocks = SampleBoltzmann(0.2, tokens_per_image=2)(prediction, target)
    torch.testing.assert_close(blocks, whole)
    for a, b in zip(torch.autograd.grad(blocks, (prediction, target)), gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_symmetric_dense_samples_are_the_mean_of_both_directions() -> None:
    prediction, target = normal(3, 4, 3), normal(3, 4, 3, seed=1)
    got = SampleBoltzmann(0.2, symmetric=True, tokens_per_image=2)(prediction, target)
    strided = [0, 2]
    expected = (dense_reference(prediction, target, strided) + dense_reference(target, prediction, strided)) / 2
    torch.testing.assert_close(got, expected)


def test_a_queue_holds_the_only_negatives_and_takes_the_targets_after_the_loss() -> None:
    queue = Queue(8, 3).double()
    before = queue.keys.clone()
    loss = SampleBoltzmann(0.2, queue=queue)
    prediction, target = normal(4, 3).requires_grad_(), normal(4, 3, seed=1)
    got = loss(prediction, target)
    own = (prediction * target).sum(1, keepdim=True)
    logits = torch.cat([own, prediction @ before.T], dim=1) / 0.2
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got, prediction), torch.autograd.grad(expected, prediction))
    assert torch.equal(queue.keys[:4], target) and torch.equal(queue.keys[4:], before[4:])


def test_in_evaluation_the_queue_stays() -> None:
    queue = Queue(8, 3).double()
    before = queue.keys.clone()
    SampleBoltzmann(queue=queue).eval()(normal(4, 3), normal(4, 3, seed=1))
    assert torch.equal(queue.keys, before)


def test_a_queue_of_dense_targets_holds_their_normalised_means() -> None:
    queue = Queue(4, 3).double()
    before = queue.keys.clone()
    prediction, target = normal(2, 5, 3), normal(2, 5, 3, seed=1)
    got = SampleBoltzmann(0.2, queue=queue)(prediction, target)
    rows_p, rows_t = prediction.reshape(-1, 3), target.reshape(-1, 3)
    logits = torch.cat([(rows_p * rows_t).sum(1, keepdim=True), rows_p @ before.T], dim=1) / 0.2
    torch.testing.assert_close(got, torch.nn.functional.cross_entropy(logits, torch.zeros(10, dtype=torch.long)))
    torch.testing.assert_close(queue.keys[:2], torch.nn.functional.normalize(target.mean(1), dim=-1))


def test_a_queue_takes_all_tokens_of_an_image_where_the_targets_were_matched() -> None:
    queue = Queue(4, 3).double()
    tokens, chosen = normal(2, 6, 3, seed=2), torch.tensor([0, 0, 5, 1, 1])
    matched = torch.nn.functional.normalize(tokens[:, chosen], dim=-1)
    empty = copy.deepcopy(queue)
    with_keys = SampleBoltzmann(0.2, queue=queue)(normal(2, 5, 3), matched, keys=tokens)
    without = SampleBoltzmann(0.2, queue=empty)(normal(2, 5, 3), matched)
    assert torch.equal(with_keys, without)
    torch.testing.assert_close(queue.keys[:2], torch.nn.functional.normalize(tokens.mean(1), dim=-1))


def test_a_symmetric_queue_is_refused() -> None:
    with pytest.raises(ValueError, match="queue"):
        SampleBoltzmann(symmetric=True, queue=Queue(4, 3))


def test_logits_stay_wide_under_autocast() -> None:
    prediction, target = normal(4, 64).bfloat16(), normal(4, 64, seed=1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = SampleBoltzmann(0.1)(prediction, target)
    expected = torch.nn.functional.cross_entropy(prediction.float() @ target.float().T / 0.1, torch.arange(4))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)
    assert math.isfinite(got.item())


@pytest.mark.parametrize("chunked", [False, True])
def test_predictions_of_other_images_are_candidates_but_never_the_own(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NT-Xent of one direction: 2N - 1 candidates, with the gradient of each."""
    if chunked:
        monkeypatch.setattr(boltzmann, "LARGEST_WHOLE", 0)
    prediction, target = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    rows: list[Tensor] = []
    for n in range(4):
        candidates = [*target, *(other for m, other in enumerate(prediction) if m != n)]
        rows.append(minus_log_softmax([prediction[n] @ one / 0.5 for one in candidates], n))
    expected = torch.autograd.grad(torch.stack(rows).mean(), (prediction, target))
    loss = SampleBoltzmann(0.5, predictions=True)(prediction, target)
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    torch.testing.assert_close(torch.autograd.grad(loss, (prediction, target)), expected)
