"""The adapters around timm: equal to timm when nothing is hidden, blind to what is hidden."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from m3i_dsl.modules.encoders.frozen import FrozenEncoder, NoGradient
from m3i_dsl.modules.encoders.timm import load_pretrained
from m3i_dsl.modules.positions import sincos_2d
from m3i_dsl.modules.tokens import gather_tokens, upsample
from m3i_dsl.vocabulary.encoders.catalogue import timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext, WordError

VIT = Timm("vit_tiny_patch16_224", 32, 8, width=32, depth=3, heads=2)
SWIN = Timm("swin_tiny_patch4_window7_224", 32, 1)
CONVNEXT = Timm("convnext_atto", 64)
RESNET = Timm("resnet18", 64)
BEIT = Timm("beitv2_base_patch16_224", 32, 8, width=32, depth=3, heads=2, positions="shared relative", final_norm=True)
EVERY_FAMILY = [
    VIT,
    BEIT,
    Timm("beit_base_patch16_224", 32, 8, width=32, depth=2, heads=2),
    SWIN,
    Timm("swinv2_tiny_window8_256", 32, 1),
    CONVNEXT,
    RESNET,
    Timm("efficientnet_b0", 64),
]


def built(word: Timm) -> Any:
    torch.manual_seed(0)
    return word.build(EncoderContext()).double()


def images(word: Timm, count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, word.image, word.image, generator=generator, dtype=torch.float64)


def hiding(word: Timm, batch: int, count: int) -> Tensor:
    order = torch.rand(batch, word.shape().grid.tokens, generator=torch.Generator().manual_seed(5)).argsort(dim=1)
    return order < count


@pytest.mark.parametrize("word", EVERY_FAMILY, ids=lambda word: word.model)
def test_with_nothing_hidden_features_are_timms_and_have_the_declared_shape(word: Timm) -> None:
    module, image, shape = built(word).train(), images(word), word.shape()
    features = module(image)
    expected = module.model.forward_features(image)
    if expected.dim() == 4:
        channels_last = expected if expected.shape[-1] == shape.width else expected.permute(0, 2, 3, 1)
        expected = channels_last.reshape(2, -1, shape.width)
    assert features.shape == (2, shape.prefix + shape.grid.tokens, shape.width)
    torch.testing.assert_close(features, expected)


@pytest.mark.parametrize("word", EVERY_FAMILY, ids=lambda word: word.model)
def test_every_trained_parameter_but_the_mask_token_takes_part(word: Timm) -> None:
    module = built(word)
    module(images(word)).square().sum().backward()
    without = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert without == ["mask_token"]
    assert [
        name for name, _ in word.build(EncoderContext(mask_token=False)).named_parameters() if name == "mask_token"
    ] == []


REGISTERS = Timm("vit_wee_patch16_reg1_gap_256", 32, 8, width=32, depth=1, heads=2)
NORMED_PATCHES = Timm("aimv2_large_patch14_224", 28, 7, width=32, depth=1, heads=2)


@pytest.mark.parametrize("word", [VIT, REGISTERS, NORMED_PATCHES], ids=lambda word: word.model)
def test_embedding_the_visible_patches_is_dropping_the_others(word: Timm) -> None:
    module, image, tokens = built(word).train(), images(word).requires_grad_(), word.shape().grid.tokens
    hidden = hiding(word, len(image), tokens // 2)
    gradients: list[list[Tensor]] = []
    for embed in ("all", "visible"):
        features = module(image, hidden, visible=tokens - tokens // 2, tokens="drop", embed=embed)
        trained = [p for name, p in module.named_parameters() if p.requires_grad and name != "mask_token"]
        gradients.append([features, *torch.autograd.grad(features.sin().sum(), [image, *trained])])
    for all_, visible in zip(*gradients, strict=True):
        torch.testing.assert_close(visible, all_, rtol=1e-10, atol=1e-13)
    with pytest.raises(ValueError, match="others are dropped"):
        module(image, hidden, tokens="mask", embed="visible")


@pytest.mark.parametrize("word", EVERY_FAMILY, ids=lambda word: word.model)
def test_a_masked_patch_cannot_be_seen(word: Timm) -> None:
    module, shape = built(word).eval(), word.shape()
    hidden = hiding(word, 2, 1)
    image = images(word)
    pixels = upsample(hidden, shape.grid.rows, shape.grid.columns, word.image, word.image)
    changed = torch.where(pixels, images(word, seed=2), image)
    masked = module(image, hidden, shape.grid.tokens, "mask")
    torch.testing.assert_close(module(changed, hidden, shape.grid.tokens, "mask"), masked)
    if module.mask_token.shape == (3,):
        painted = torch.where(pixels, module.mask_token[:, None, None], image)
        torch.testing.assert_close(module(painted), masked)
    assert not torch.allclose(module(image), masked)


@pytest.mark.parametrize("word", [VIT, BEIT, SWIN, CONVNEXT, RESNET], ids=lambda word: word.model)
def test_taps_are_the_last_blocks_before_the_final_norm(word: Timm) -> None:
    module, image, shape = built(word).eval(), images(word), word.shape()
    features, taps = module(image, taps=shape.depth)
    torch.testing.assert_close(features, module(image))
    assert taps.shape == (2, shape.depth, *features.shape[1:])
    if word is RESNET:
        assert torch.equal(taps[:, 0], features)
        return
    final = module.model.norm_pre if word is CONVNEXT else module.model.norm
    torch.testing.assert_close(final(taps[:, -1]), features)
    if word in (VIT, BEIT):
        inner = module.model.forward_intermediates(image, return_prefix_tokens=True, output_fmt="NLC")[1]
        whole = [torch.cat([prefix, grid], dim=1) for grid, prefix in inner]
        torch.testing.assert_close(taps, torch.stack(whole, dim=1))


def test_a_bias_of_another_grid_is_resampled_and_the_class_token_keeps_its_own(tmp_path: Path) -> None:
    small, large = built(BEIT), replace(BEIT, image=64).build(EncoderContext())
    table = small.model.rel_pos_bias.relative_position_bias_table
    with torch.no_grad():
        table.copy_(torch.arange(52.0).unsqueeze(1) * torch.ones(2))
    save_file({name: value.float() for name, value in small.model.state_dict().items()}, tmp_path / "beit.safetensors")
    BEIT.load_file(large, tmp_path / "beit.safetensors")
    moved = large.get_parameter("model.rel_pos_bias.relative_position_bias_table")
    assert moved.shape == (15 * 15 + 3, 2)
    assert torch.equal(moved[-3:].double(), table[-3:])
    assert float(moved.detach()[112, 0]) == pytest.approx(24, abs=0.1), "no difference of places, in the middle of both"


@pytest.mark.parametrize("prefix", [True, False])
def test_dropping_tokens_equals_a_vit_on_the_visible_patches_alone(prefix: bool) -> None:
    word = Timm("vit_tiny_patch16_224", 32, 8, width=32, depth=3, heads=2, class_token=prefix)
    module, image = built(word).eval(), images(word)
    hidden = hiding(word, 2, 10)
    got = module(image, hidden, 6, "drop")
    model = module.model
    for row in range(2):
        visible = [position for position in range(16) if not hidden[row, position]]
        embedded = model.patch_embed(image[row : row + 1])
        whole = model._pos_embed(embedded)
        x = torch.cat([whole[:, :prefix], whole[:, prefix:][:, visible]], dim=1)
        for block in model.blocks:
            x = block(x)
        torch.testing.assert_close(got[row : row + 1], model.norm(x))


def test_a_dropped_token_cannot_be_seen_and_gets_no_gradient() -> None:
    module, image = built(VIT), images(VIT).requires_grad_()
    hidden = hiding(VIT, 2, 10)
    module(image, hidden, 6, "drop").sum().backward()
    pixels = upsample(hidden, 4, 4, 32, 32).expand(-1, 3, -1, -1)
    assert image.grad is not None
    assert not image.grad[pixels].any() and image.grad[~pixels].any()


def test_isolated_tokens_see_exactly_what_a_token_dropping_vit_sees() -> None:
    """A mix with isolated attention, unmixed, is two masked passes (no class token)."""
    word = Timm("vit_tiny_patch16_224", 32, 8, width=32, depth=3, heads=2, class_token=False)
    module, first, second = built(word).eval(), images(word), images(word, seed=3)
    source = hiding(word, 2, 8)
    mixed = torch.where(upsample(source, 4, 4, 32, 32), second, first)
    features = module(mixed, isolate=source)
    torch.testing.assert_close(gather_tokens(features, ~source, 8), module(first, source, 8, "drop"))
    torch.testing.assert_close(gather_tokens(features, source, 8), module(second, ~source, 8, "drop"))
    joint = module(mixed)
    assert not torch.allclose(gather_tokens(joint, ~source, 8), module(first, source, 8, "drop"))


def test_a_class_token_sees_both_images_and_is_seen_by_none() -> None:
    module, image = built(VIT).eval(), images(VIT)
    source = hiding(VIT, 2, 8)
    features = module(image, isolate=source)
    changed = torch.where(upsample(source, 4, 4, 32, 32), images(VIT, seed=4), image)
    other = module(changed, isolate=source)
    torch.testing.assert_close(
        gather_tokens(other, ~source, 8, 1)[:, 1:], gather_tokens(features, ~source, 8, 1)[:, 1:]
    )
    assert not torch.allclose(other[:, 0], features[:, 0])


@pytest.mark.parametrize("word", [SWIN, CONVNEXT, RESNET], ids=lambda word: word.model)
def test_what_only_a_vit_can_do_is_refused(word: Timm) -> None:
    module, image = built(word), images(word)
    with pytest.raises(ValueError, match="drop tokens"):
        module(image, hiding(word, 2, 1), 1, "drop")
    with pytest.raises(ValueError, match="isolate"):
        module(image, isolate=hiding(word, 2, 1))
    assert not word.drops_tokens() and not word.isolates()


def test_sincos_positions_are_fixed_and_zero_for_the_class_token() -> None:
    word = Timm("vit_tiny_patch16_224", 32, 8, width=32, depth=1, heads=2, positions="sincos")
    model = built(word).model
    assert not model.pos_embed.requires_grad and not model.pos_embed[0, 0].any()
    expected = sincos_2d(word.shape().grid, 32, torch.float64)
    torch.testing.assert_close(model.pos_embed[0, 1:], expected, rtol=0, atol=1e-6)


def test_options_of_a_vit_reach_timm() -> None:
    word = Timm(
        "vit_tiny_patch16_224",
        32,
        8,
        width=32,
        depth=2,
        heads=2,
        final_norm=False,
        freeze_patch_embedding=True,
        drop_path=0.5,
    )
    model = built(word).model
    assert isinstance(model.norm, nn.Identity)
    assert not any(p.requires_grad for p in model.patch_embed.parameters())
    assert [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks] == [0.0, 0.5]
    assert len(model.blocks) == 2 and model.blocks[0].attn.num_heads == 2
    plain = built(Timm("vit_base_patch16_224", 224, depth=1)).model
    assert isinstance(plain.norm, nn.LayerNorm) and plain.embed_dim == 768


def test_a_resnet_can_be_dilated_to_a_finer_grid() -> None:
    word = Timm("resnet18", 32, stride=8)
    assert built(word)(images(word)).shape == (2, 16, 512)


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224"])
def test_the_state_of_the_model_is_what_timm_loads(name: str) -> None:
    word = Timm(name, 224)
    loaded = timm.create_model(name, num_classes=0)
    loaded.load_state_dict(cast(nn.Module, word.build(EncoderContext()).model).state_dict())


def test_weights_come_from_a_file_with_positions_resampled(tmp_path: Path) -> None:
    torch.manual_seed(3)
    source = timm.create_model("vit_tiny_patch16_224", img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=2)
    save_file(source.state_dict(), tmp_path / "teacher.safetensors")
    word = Timm("vit_tiny_patch16_224", 64, 8, width=32, depth=2, heads=2, weights="teacher.safetensors")
    module = cast(Any, word.build(EncoderContext()))
    word.load(module, tmp_path)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(module(image), source.forward_features(image))
    smaller = Timm("vit_tiny_patch16_224", 32, 8, width=32, depth=2, heads=2, weights="teacher.safetensors")
    module = cast(Any, smaller.build(EncoderContext()))
    smaller.load(module, tmp_path)
    assert torch.equal(module.model.pos_embed[:, 0], source.pos_embed[:, 0])
    assert torch.equal(module.model.blocks[1].mlp.fc1.weight, source.blocks[1].mlp.fc1.weight)


def test_a_branch_without_gradient_stays_so_and_keeps_its_mode() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    branch = NoGradient(inner)
    branch.train()
    x = torch.randn(8, 3, requires_grad=True)
    y = branch(x)
    assert not y.requires_grad and not any(p.requires_grad for p in branch.parameters())
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-6, rtol=0)  # statistics of the batch


def test_a_copy_takes_no_random_decision() -> None:
    torch.manual_seed(0)
    word = Timm("vit_tiny_patch16_224", 32, 8, width=24, depth=4, heads=3, drop_path=0.5)
    images = torch.randn(4, 3, 32, 32)
    trained = word.build(EncoderContext())
    trained.train()
    assert not torch.equal(trained(images), trained(images)), "the trained one drops depth"
    for copy_ in (NoGradient(copy.deepcopy(trained)), FrozenEncoder(copy.deepcopy(trained))):
        copy_.train()
        assert torch.equal(copy_(images), copy_(images))


def test_a_frozen_copy_never_moves_and_an_average_keeps_its_statistics() -> None:
    torch.manual_seed(0)
    word = Timm("resnet10t", 32)
    images = torch.randn(4, 3, 32, 32), 3 + torch.randn(4, 3, 32, 32)
    frozen, average = FrozenEncoder(word.build(EncoderContext())), NoGradient(word.build(EncoderContext()))
    before = {name: buffer.clone() for name, buffer in frozen.named_buffers()}
    for copy_ in (frozen, average):
        copy_.eval()
        copy_.train()
    alone, beside = frozen(images[0]), frozen(torch.cat(images))[:4]
    torch.testing.assert_close(alone, beside)
    assert before and all(torch.equal(before[name], buffer) for name, buffer in frozen.named_buffers())
    average(images[0])
    assert any(not torch.equal(before[name], buffer) for name, buffer in average.named_buffers())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls_tokn": torch.zeros(1)}, "`weights.safetensors` has unknown parameters: `cls_tokn`"),
        ({"a": torch.zeros(1), "b": torch.zeros(1)}, "`weights.safetensors` has unknown parameters: `a` and 1 more"),
        ({"cls_token": None}, "`weights.safetensors` lacks parameters: `cls_token`"),
        (
            {"norm.bias": torch.full([32], torch.inf)},
            "`weights.safetensors` has other than finite real numbers in parameters: `norm.bias`",
        ),
        (
            {"pos_embed": torch.zeros(1, 10, 32).int()},
            "`weights.safetensors` has other than finite real numbers in parameters: `pos_embed`",
        ),
        ({"cls_token": torch.zeros(1, 1, 3)}, "`weights.safetensors` has other shapes of parameters: `cls_token`"),
        # Positions of another width are no positions of another grid, and nothing resamples them.
        ({"pos_embed": torch.zeros(1, 5, 3)}, "`weights.safetensors` has other shapes of parameters: `pos_embed`"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Tensor | None], message: str) -> None:
    module, path = VIT.build(EncoderContext()), tmp_path / "weights.safetensors"
    state = module.get_submodule("model").state_dict() | change
    save_file({name: value for name, value in state.items() if value is not None}, path)
    with pytest.raises(WordError) as caught:
        VIT.load_file(module, path)
    assert (str(caught.value), caught.value.argument) == (message, "weights")


def test_weights_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    module, path = VIT.build(EncoderContext()), tmp_path / "weights.safetensors"
    with pytest.raises(WordError, match="there is no file"):
        VIT.load_file(module, path)
    path.write_bytes(b"words")
    with pytest.raises(WordError, match="is not a safetensors file"):
        VIT.load_file(module, path)


def test_weights_with_a_head_and_positions_of_another_grid_are_loaded(tmp_path: Path) -> None:
    module, path = VIT.build(EncoderContext()), tmp_path / "weights.safetensors"
    state = {name: torch.ones_like(value) for name, value in module.get_submodule("model").state_dict().items()}
    save_file(state | {"head.weight": torch.zeros(3, 32), "pos_embed": torch.ones(1, 1 + 9, 32)}, path)
    VIT.load_file(module, path)
    for value in module.get_submodule("model").state_dict().values():
        torch.testing.assert_close(value, torch.ones_like(value))


@pytest.mark.parametrize(("error", "reason"), [(OSError("no network\nat all"), "no network"), (OSError(), "OSError")])
def test_pretrained_weights_that_cannot_be_had_are_refused(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    word = Timm("vit_tiny_patch16_224", 224, pretrained=True)
    module = nn.Identity()

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(WordError) as caught:
        load_pretrained(word, timm_model(word.model), module)
    assert (str(caught.value), caught.value.argument) == (f"no weights for `{word.model}`: {reason}", "pretrained")
