"""Parameter groups and the optimizers' steps against formulas written out by hand."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from m3i_dsl.vocabulary.kinds import Optimizer, WordError
from m3i_dsl.vocabulary.optimizers import WORDS, AdamW, Lamb, Lars, Sgd
from m3i_dsl.vocabulary.optimizers.parameter_groups import Decayed, parameter_groups
from m3i_dsl.vocabulary.values import Ramp, Rate


class Recipe(nn.Module):
    """The places that parameters come from: a timm encoder, a projector, a text tower, a head, a weighting, a
    teacher.
    """

    def __init__(self) -> None:
        super().__init__()
        vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=3, embed_dim=24, num_heads=2, num_classes=0)
        image, words, teacher = nn.Module(), nn.Module(), nn.Linear(2, 2).requires_grad_(False)
        image.backbone, image.mask_token = vit, nn.Parameter(torch.zeros(1, 1, 24))
        image.projector = nn.Linear(24, 24)
        image.relative_position_bias_table = nn.Parameter(torch.zeros(9, 2))
        words.embedding, words.positions = nn.Embedding(8, 4), nn.Parameter(torch.zeros(5, 4))
        words.blocks, words.norm = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]), nn.LayerNorm(4)
        self.encoders = nn.ModuleDict({"image": image, "words": words, "momentum": teacher})
        self.predictors = nn.ModuleDict({"intra": nn.Linear(24, 24)})
        self.likelihood = nn.ParameterDict({"log_inverse": nn.Parameter(torch.zeros(()))})
        self.weightings = nn.ParameterDict({"m3i": nn.Parameter(torch.zeros(3))})


def roles(groups: list[dict[str, Any]]) -> dict[str, str]:
    return {name: group["role"] for group in groups for name, _ in group["params"]}


def scales(groups: list[dict[str, Any]]) -> dict[str, float]:
    return {name: group["initial_lr"] for group in groups for name, _ in group["params"]}


def test_what_decays() -> None:
    module = Recipe()
    groups = parameter_groups(module, lr=1.0, weight_decay=0.05)
    found = roles(groups)
    assert found.keys() == {name for name, p in module.named_parameters() if p.requires_grad}
    assert {name for name, role in found.items() if role == "weighting"} == {"weightings.m3i"}
    for name in (
        "encoders.image.backbone.cls_token",
        "encoders.image.backbone.pos_embed",
        "encoders.image.backbone.patch_embed.proj.bias",
        "encoders.image.backbone.blocks.0.norm1.weight",
        "encoders.image.mask_token",
        "encoders.words.positions",
        "likelihood.log_inverse",
    ):
        assert found[name] == "exempt", name
    for name in (
        "encoders.image.backbone.patch_embed.proj.weight",
        "encoders.image.backbone.blocks.2.attn.qkv.weight",
        "encoders.image.projector.weight",
        "encoders.words.embedding.weight",
        "predictors.intra.weight",
    ):
        assert found[name] == "decayed", name
    assert {group["role"]: group["weight_decay"] for group in groups} == {
        "decayed": 0.05,
        "exempt": 0.0,
        "weighting": 0.0,
    }


@pytest.mark.parametrize(
    ("rule", "also"),
    [
        ("matrices", set[str]()),
        ("masks", {"encoders.image.mask_token"}),
        ("biases", {"encoders.image.mask_token", "encoders.image.relative_position_bias_table"}),
        (
            "tensors",
            {
                "encoders.image.mask_token",
                "encoders.image.relative_position_bias_table",
                "encoders.image.backbone.cls_token",
                "encoders.image.backbone.pos_embed",
                "encoders.words.positions",
            },
        ),
    ],
)
def test_tokens_and_positions_decay_where_the_method_says_so(rule: Decayed, also: set[str]) -> None:
    strict = roles(parameter_groups(Recipe(), lr=1.0, weight_decay=0.05))
    found = roles(parameter_groups(Recipe(), lr=1.0, weight_decay=0.05, decayed=rule))
    assert {name for name, role in found.items() if role != strict[name]} == also


def test_everything_but_a_weighting_decays_where_the_method_says_so() -> None:
    found = roles(parameter_groups(Recipe(), lr=1.0, weight_decay=0.1, decayed="all"))
    assert {name for name, role in found.items() if role != "decayed"} == {"weightings.m3i"}


def test_no_parameter_of_one_dimension_ever_decays() -> None:
    module = Recipe()
    for word in (AdamW(lr=Rate(1, None)), Sgd(lr=Rate(1, None)), Lars(lr=Rate(1, None)), Lamb(lr=Rate(1, None))):
        for group in word.build(module, 256).param_groups:
            if group["weight_decay"] > 0:
                assert all(parameter.ndim > 1 for parameter in group["params"])


def test_layer_decay_follows_depth() -> None:
    found = scales(parameter_groups(Recipe(), lr=1.0, weight_decay=0.05, layer_decay=0.5))
    by_hand = {
        "encoders.image.backbone.patch_embed.proj.weight": 0.5**4,
        "encoders.image.backbone.pos_embed": 0.5**4,
        "encoders.image.mask_token": 0.5**4,
        "encoders.image.backbone.blocks.0.attn.qkv.weight": 0.5**3,
        "encoders.image.backbone.blocks.2.attn.qkv.weight": 0.5,
        "encoders.image.backbone.norm.weight": 1.0,
        "encoders.image.projector.weight": 1.0,
        "encoders.words.embedding.weight": 0.5**3,
        "encoders.words.positions": 0.5**3,
        "encoders.words.blocks.0.weight": 0.5**2,
        "encoders.words.blocks.1.weight": 0.5,
        "encoders.words.norm.weight": 1.0,
        "predictors.intra.weight": 1.0,
        "weightings.m3i": 1.0,
    }
    assert {name: found[name] for name in by_hand} == by_hand


def test_the_rate_scales_with_the_batch() -> None:
    optimizer = AdamW(lr=Rate(1.5e-4, 256)).build(nn.Linear(2, 2), batch=1024)
    assert {group["initial_lr"] for group in optimizer.param_groups} == {6e-4}


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(WordError, match="no parameter"):
        AdamW(lr=Rate(1, None)).build(nn.Linear(2, 2).requires_grad_(False), 8)


@pytest.mark.parametrize("word", [AdamW, Lamb])
def test_betas_are_two(word: type[AdamW] | type[Lamb]) -> None:
    with pytest.raises(WordError, match="two numbers") as caught:
        word(lr=Rate(1, None), betas=(0.9, 0.99, 0.999))
    assert caught.value.argument == "betas"


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(WordError, match="momentum"):
        Sgd(lr=Rate(1, None), momentum=0, nesterov=True)


def test_fused_kernels_are_used_where_there_are_any() -> None:
    assert AdamW(lr=Rate(1, None)).build(nn.Linear(2, 2), 8).param_groups[0]["fused"] is True
    assert Sgd(lr=Rate(1, None)).build(nn.Linear(2, 2), 8).param_groups[0]["fused"] is True


# --- three steps by hand ----------------------------------------------------------------------------------------------


def steps(word: Optimizer, weight: torch.Tensor, bias: torch.Tensor, gradients: list[torch.Tensor]) -> nn.Linear:
    """A linear layer after `word` took a step on each gradient (the first row of it is the bias')."""
    linear = nn.Linear(3, 2).double()
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    optimizer = word.build(linear, 256)
    for gradient in gradients:
        linear.weight.grad, linear.bias.grad = gradient.clone(), gradient[:, 0].clone()
        optimizer.step()
    return linear


@pytest.fixture
def problem() -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(2, 3, generator=generator, dtype=torch.float64) for _ in range(5)]
    return tensors[0], tensors[1][:, 0], tensors[2:]


def test_adamw(problem: tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]) -> None:
    weight, bias, gradients = problem
    trained = steps(
        AdamW(lr=Rate(0.1, 256), betas=(0.9, 0.95), weight_decay=Ramp.constant(0.05)), weight, bias, gradients
    )
    for theta, grads, decay, found in (
        (weight, gradients, 0.05, trained.weight),
        (bias, [g[:, 0] for g in gradients], 0.0, trained.bias),
    ):
        m, v = torch.zeros_like(theta), torch.zeros_like(theta)
        for t, g in enumerate(grads, start=1):
            theta = theta * (1 - 0.1 * decay)
            m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
            theta = theta - 0.1 * (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
        torch.testing.assert_close(found.detach(), theta, rtol=1e-12, atol=1e-12)


def test_sgd(problem: tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]) -> None:
    weight, bias, gradients = problem
    trained = steps(Sgd(lr=Rate(0.1, None), momentum=0.9, weight_decay=0.01), weight, bias, gradients)
    for theta, grads, decay, found in (
        (weight, gradients, 0.01, trained.weight),
        (bias, [g[:, 0] for g in gradients], 0.0, trained.bias),
    ):
        buffer = torch.zeros_like(theta)
        for g in grads:
            buffer = 0.9 * buffer + g + decay * theta
            theta = theta - 0.1 * buffer
        torch.testing.assert_close(found.detach(), theta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_lars_adapts_matrices_with_and_without_decay(
    problem: tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]], decay: float
) -> None:
    weight, bias, gradients = problem
    word = Lars(lr=Rate(2.0, None), weight_decay=decay, bias_lr=Rate(0.048, None))
    trained = steps(word, weight, bias, gradients)
    theta, buffer = weight, torch.zeros_like(weight)
    for g in gradients:
        trust = 0.001 * theta.norm() / (g + decay * theta).norm()
        buffer = 0.9 * buffer + trust * (g + decay * theta)
        theta = theta - 2.0 * buffer
    torch.testing.assert_close(trained.weight.detach(), theta, rtol=1e-12, atol=1e-12)
    theta, buffer = bias, torch.zeros_like(bias)
    for g in gradients:
        buffer = 0.9 * buffer + g[:, 0]
        theta = theta - 0.048 * buffer
    torch.testing.assert_close(trained.bias.detach(), theta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_lamb_scales_matrices_with_and_without_decay(
    problem: tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]], decay: float
) -> None:
    weight, bias, gradients = problem
    trained = steps(Lamb(lr=Rate(0.1, None), weight_decay=decay), weight, bias, gradients)
    for theta, grads, matrix, found in (
        (weight, gradients, True, trained.weight),
        (bias, [g[:, 0] for g in gradients], False, trained.bias),
    ):
        m, v = torch.zeros_like(theta), torch.zeros_like(theta)
        for t, g in enumerate(grads, start=1):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            u = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-6) + (decay * theta if matrix else 0)
            theta = theta - 0.1 * (theta.norm() / u.norm() if matrix else 1) * u
        torch.testing.assert_close(found.detach(), theta, rtol=1e-6, atol=1e-9)


def test_every_word_documents_its_arguments() -> None:
    for word in WORDS:
        assert word.summary()
        assert all(parameter.doc and parameter.origin for parameter in word.parameters())
