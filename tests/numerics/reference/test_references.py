"""The references themselves: right about timm and the decoder, blind to no parameter, and true to known identities."""

from __future__ import annotations

import ast
import copy
import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from m3i_dsl.modules.positions import relative_embedding, sincos_2d
from m3i_dsl.modules.predictors.decoder import DecoderHead
from m3i_dsl.modules.tables import ClassTable
from m3i_dsl.vocabulary.kinds import Grid, PredictorShape
from tests.numerics.reference import codes, plain

HERE = Path(__file__).parent
METHODS = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("plain", "codes", "test_references"))
GRID = Grid(4, 4)
WIDTH = 32
PIXELS = 3 * 8 * 8

LEARNS_ITS_TARGET = {"image_classification", "supervised", "clip", "barlow_twins", "simclr", "vicreg", "deit_iii"}
"""Methods whose target representation is trained by the loss itself; the others must not move f_phi."""

WITHOUT_AVERAGE = {
    *LEARNS_ITS_TARGET,
    "auto_encoder",
    "mim_pixel",
    "mae",
    "simmim",
    "novel_view_synthesis",
    "siamim_pixel",
}


def _vit(prefix: bool = True) -> nn.Module:
    options: dict[str, Any] = {} if prefix else {"class_token": False, "global_pool": "avg", "fc_norm": False}
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        patch_size=8,
        embed_dim=WIDTH,
        depth=2,
        num_heads=2,
        num_classes=0,
        **options,
    )


def _decoder(output: int, *, relative: bool) -> DecoderHead:
    shape = PredictorShape(WIDTH, output)
    position = "relative" if relative else "absolute"
    return DecoderHead(shape, layers=1, heads=2, width=WIDTH, position=position, norm_kind="layer")


class _Text(nn.Module):
    """A bag of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.table(tokens).mean(dim=1)


def _book(size: int = 6) -> SimpleNamespace:
    vectors = plain.l2(torch.randn(size, WIDTH, dtype=torch.float64))
    usage, direction = torch.zeros(size, dtype=torch.float64), torch.randn(WIDTH, dtype=torch.float64)
    started = torch.tensor(False)
    return SimpleNamespace(
        vectors=vectors, usage=usage, direction=direction, started=started, training=True, decay=0.9, commitment=1.0
    )


class _Coded(nn.Module):
    """A projector that ends in a codebook."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.book = nn.Linear(WIDTH, WIDTH), _book()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return codes.quantised(self.book, self.linear(z))


def _mlp(output: int = WIDTH) -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, output))


def _parts(method: str) -> SimpleNamespace:
    """Parts for `method`, in float64."""
    vit = _vit()
    pixels = method in ("auto_encoder", "mim_pixel", "mae", "novel_view_synthesis", "siamim_pixel")
    same_view = method in ("auto_encoder", "mim_pixel", "mae", "mim_feature", "dense_distillation")
    projector = _Coded() if method == "vqkd" else _mlp()
    parts = SimpleNamespace(
        vit=vit,
        average=copy.deepcopy(vit),
        mask_token=nn.Parameter(torch.randn(WIDTH)),
        projector=projector,
        average_projector=copy.deepcopy(projector),
        average_parts=[nn.Identity(), _book(5)],  # a row of the table for each
        predictor=nn.Linear(WIDTH, PIXELS) if method == "simmim" else _mlp(),
        decoder=_decoder(PIXELS if pixels else WIDTH, relative=not same_view),
        decoder_intra=_decoder(WIDTH, relative=False),
        decoder_inter=_decoder(WIDTH, relative=True),
        table=ClassTable(5, WIDTH, bias=True),
        text=_Text(),
        text_projection=nn.Linear(WIDTH, WIDTH, bias=False),
        temperature=0.2,
        target_temperature=0.1,
        center=0.1 * torch.randn(WIDTH),
        label_smoothing=0.1 if method == "supervised" else 0.0,
        weight=0.5,
        symmetric=True,
        layers=2,
        beta=2.0,
        tokens=4,
        decorrelation=0.0051,
        unigrad=0.02,
        centers={name: 0.1 * torch.randn(WIDTH, dtype=torch.float64) for name in ("class", "patch")},
        prototypes=nn.Parameter(torch.randn(7, WIDTH)),
        weights=(0.5, 0.5) if method == "densecl" else (1.0, 1.0, 1.0),
        queue=plain.l2(torch.randn(8, WIDTH)),
        dense_queue=plain.l2(torch.randn(8, WIDTH)),
    )
    parts.embedding, parts.average_embedding = parts.projector, parts.average_projector
    for name, value in vars(parts).items():
        if isinstance(value, nn.Module):
            value.double()
            for parameter in value.parameters():
                nn.init.normal_(parameter, std=0.2)
        elif isinstance(value, Tensor):
            setattr(parts, name, value.double().detach().requires_grad_(isinstance(value, nn.Parameter)))
    return parts


def _batch(method: str, texts: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def geometry() -> Tensor:
        boxes = torch.cat([10 * uniform(4, 2), 20 + 10 * uniform(4, 2)], dim=1)
        flips = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        return torch.cat([boxes, flips[:, None], torch.full((4, 1), 48.0, dtype=torch.float64)], dim=1)

    hidden = torch.stack([torch.randperm(16, generator=generator) < 9 for _ in range(4)])
    geometry2 = geometry()
    geometry2[0, 4] = 1.0  # so that one pair of views is mirrored
    batch = {
        "view1": uniform(4, 3, 32, 32) - 0.5,
        "view2": uniform(4, 3, 32, 32) - 0.5,
        "hidden": hidden,
        "hidden_view1": hidden & (torch.arange(4) > 0).unsqueeze(1),
        "hidden_view2": hidden.flip(1),
        "geometry1": geometry(),
        "geometry2": geometry2,
        "labels": torch.tensor([0, 3, 3, 1]),
        "drawn": torch.tensor(
            [[0, 0, 0, 0, 0.3], [4, 8, 20, 24, 0.75], [0, 0, 0, 0, 0.9], [0, 0, 32, 8, 0.75]]
        ).double(),
    }
    if texts or method == "clip":
        batch["tokens"] = torch.tensor([[1, 2, 0], [3, 4, 5], [1, 2, 0], [6, 0, 0]])
    return batch


def _loss(method: str, parts: SimpleNamespace, batch: dict[str, Tensor]) -> Tensor:
    return importlib.import_module(f"tests.numerics.reference.{method}").loss(parts, batch)


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_stands_alone_and_is_short(method: str) -> None:
    text = (HERE / f"{method}.py").read_text(encoding="utf-8")
    imported = {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith("m3i_dsl") for name in imported)
    assert len(text.splitlines()) < 40
    assert "m3i_dsl" not in (HERE / "plain.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_trains_what_it_should_and_nothing_else(method: str) -> None:
    torch.manual_seed(0)
    parts, batch = _parts(method), _batch(method)
    loss = _loss(method, parts, batch)
    assert loss.shape == ()
    assert loss.dtype is torch.float64
    assert torch.isfinite(loss)
    loss.backward()
    assert all(parameter.grad is not None for parameter in parts.vit.blocks.parameters())
    for fixed in (parts.average, parts.average_projector):
        assert all(parameter.grad is None for parameter in fixed.parameters())
    if method in ("image_classification", "supervised", "m3i", "m3i_no_mix"):
        assert parts.table.weight.grad is not None
    if method == "clip":
        assert parts.text.table.weight.grad is not None


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_depends_on_its_target(method: str) -> None:
    """A reference that forgot f_phi, the labels or the other view would agree with anything."""
    torch.manual_seed(0)
    parts, batch = _parts(method), _batch(method)
    before = _loss(method, parts, batch).item()
    if method in WITHOUT_AVERAGE:
        changed = {
            **batch,
            "labels": (batch["labels"] + 1) % 5,
            "view1": batch["view1"] + 0.1 * batch["view2"],
        }
        assert _loss(method, parts, changed).item() != before
    else:
        for parameter in parts.average.parameters():
            parameter.data.mul_(1.1)
        assert _loss(method, parts, batch).item() != before


@pytest.mark.parametrize("prefix", [True, False])
def test_the_vit_is_timms(prefix: bool) -> None:
    torch.manual_seed(0)
    vit: Any
    vit, image = _vit(prefix).double(), _batch("mae")["view1"]
    torch.testing.assert_close(plain.vit_tokens(vit, image), vit.forward_features(image), rtol=1e-12, atol=1e-12)


def test_dropped_tokens_are_not_seen() -> None:
    torch.manual_seed(0)
    vit, batch = _vit().double(), _batch("mae")
    cells = batch["hidden"].reshape(4, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    changed = torch.where(cells, torch.full_like(batch["view1"], 7.0), batch["view1"])
    one, two = (plain.vit_tokens(vit, image, drop=batch["hidden"]) for image in (batch["view1"], changed))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert one.shape == (4, 1 + 7, WIDTH)


def test_positions_of_the_same_view_are_the_table() -> None:
    box = torch.tensor([3.0, 5.0, 20.0, 24.0, 1.0, 48.0], dtype=torch.float64).expand(2, -1)
    waves = plain.relative_waves(box, box, 4, WIDTH)
    table = plain.sincos_table(4, WIDTH, waves)
    torch.testing.assert_close(waves[:, :, :WIDTH], table.expand(2, -1, -1), rtol=0, atol=1e-13)
    quarter = WIDTH // 4
    assert torch.equal(waves[0, 0, WIDTH:], torch.tensor(([0.0] * quarter + [1.0] * quarter) * 2, dtype=torch.float64))


def test_positions_agree_with_the_package() -> None:
    batch = _batch("siamim_feature")
    ours = relative_embedding(batch["geometry1"], batch["geometry2"], GRID, GRID, WIDTH, batch["view1"])
    theirs = plain.relative_waves(batch["geometry1"], batch["geometry2"], 4, WIDTH)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    table = sincos_2d(GRID, WIDTH, torch.float64)
    torch.testing.assert_close(plain.sincos_table(4, WIDTH, table), table, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_decoder_agrees_with_the_package(relative: bool, masked: bool) -> None:
    torch.manual_seed(0)
    batch = _batch("siamim_feature")
    hidden = batch["hidden"] if masked else None
    decoder = _decoder(WIDTH, relative=relative).double()
    tokens = torch.randn(4, 1 + (7 if masked else 16), WIDTH, dtype=torch.float64)
    geometries = (batch["geometry1"], batch["geometry2"]) if relative else None
    place = {"prefix": 1, "rows": 4, "columns": 4, "target_rows": 4, "target_columns": 4, "count": 16}
    ours = decoder(tokens, hidden, None, None, *(geometries or (None, None)), **place)
    theirs = plain.decode(decoder, tokens, 1, 4, hidden=hidden, geometries=geometries)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_decoder_that_says_nothing_has_loss_one_on_whitened_targets() -> None:
    torch.manual_seed(0)
    for method in ("dense_distillation", "mim_feature", "siamim_feature"):
        parts = _parts(method)
        last = parts.predictor[-1] if method == "dense_distillation" else parts.decoder.out
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        assert _loss(method, parts, _batch(method)).item() == pytest.approx(1.0, abs=1e-4)


def test_classification_is_cross_entropy() -> None:
    torch.manual_seed(0)
    parts, batch = _parts("image_classification"), _batch("image_classification")
    pooled = parts.predictor(plain.gap(parts.vit, batch["view1"]))
    logits = (pooled @ parts.table.weight.T + parts.table.bias) / parts.temperature
    for smoothing in (0.0, 0.1):
        parts.label_smoothing = smoothing
        expected = nn.functional.cross_entropy(logits, batch["labels"], label_smoothing=smoothing)
        torch.testing.assert_close(_loss("image_classification", parts, batch), expected)


def test_unit_vectors_turn_the_gaussian_into_a_cosine() -> None:
    torch.manual_seed(0)
    a, b = (plain.l2(torch.randn(5, 7, dtype=torch.float64)) for _ in range(2))
    torch.testing.assert_close((a - b).square().sum(dim=1), 2 - 2 * (a * b).sum(dim=1))


def test_a_caption_that_repeats_is_one_candidate() -> None:
    """With all captions equal there is nothing to choose from in either direction."""
    torch.manual_seed(0)
    parts, batch = _parts("clip"), _batch("clip")
    batch["tokens"] = batch["tokens"][:1].expand(4, -1)
    assert _loss("clip", parts, batch).item() == pytest.approx(0.0, abs=1e-12)


def test_mixing_in_an_equal_patch_leaves_the_image() -> None:
    """Where the partner's patch is the same as the own, the input of M3I is view1 itself."""
    torch.manual_seed(0)
    parts, batch = _parts("m3i"), _batch("m3i")
    batch["hidden"] = torch.zeros_like(batch["hidden"])
    batch["hidden"][:, 0] = True
    batch["view1"][:, :, :8, :8] = 0.25
    mixed = plain.patch_tokens(parts.vit, batch["view1"])
    own = mixed[:, 1:].mean(dim=1)
    parts.weights = (0.0, 0.0, 1.0)
    swapped = plain.choose_category(parts.predictor(mixed[:, 0]), parts, plain.partner(batch["labels"]))
    expected = (plain.choose_category(parts.predictor(own), parts, batch["labels"]) + swapped) / 2
    torch.testing.assert_close(_loss("m3i", parts, batch), expected)


@pytest.mark.parametrize("method", ["m3i", "m3i_no_mix"])
def test_captions_take_the_place_of_categories(method: str) -> None:
    torch.manual_seed(0)
    parts, batch = _parts(method), _batch(method, texts=True)
    _loss(method, parts, batch).backward()
    assert parts.text.table.weight.grad is not None
    assert parts.table.weight.grad is None


def test_trained_variances_weigh_the_targets() -> None:
    losses = [torch.tensor(2.0), torch.tensor(3.0)]
    s = torch.tensor([0.0, 1.0], requires_grad=True)
    total = plain.weigh(losses, ["gaussian", "boltzmann"], SimpleNamespace(s=s))
    total.backward()
    torch.testing.assert_close(total.detach(), 0.5 * losses[0] + torch.exp(torch.tensor(-1.0)) * losses[1] + 0.5)
    torch.testing.assert_close(s.grad, torch.tensor([-0.5, 0.5 - 3 * torch.exp(torch.tensor(-1.0)).item()]))
