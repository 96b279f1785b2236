"""The word `timm`: shapes without torch, and what it refuses."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from m3i_dsl.vocabulary.encoders.catalogue import catalogue, timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import FeatureShape, Grid, WordError
from m3i_dsl.vocabulary.predictors.mlp import Mlp


def test_the_catalogue_is_of_a_timm_that_yields_dense_grids() -> None:
    families = {entry["family"] for entry in catalogue()["models"].values()}
    assert families == {"vit", "beit", "swin", "swinv2", "convnext", "resnet", "generic"}
    assert len(catalogue()["models"]) > 1000


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (Timm("vit_base_patch16_224", 224), FeatureShape(768, Grid(14, 14), 1, 12, 16, (224, 224))),
        (Timm("vit_base_patch16_224.mae", 32, 4, depth=2), FeatureShape(768, Grid(8, 8), 1, 2, 4, (32, 32))),
        (Timm("vit_base_patch16_224", 224, class_token=False), FeatureShape(768, Grid(14, 14), 0, 12, 16, (224, 224))),
        (Timm("vit_base_patch14_dinov2", 56), FeatureShape(768, Grid(4, 4), 1, 12, 14, (56, 56))),
        (
            Timm("beit_base_patch16_224", 32, 8, width=48, depth=3, heads=3),
            FeatureShape(48, Grid(4, 4), 1, 3, 8, (32, 32)),
        ),
        (Timm("swin_tiny_patch4_window7_224", 64, 2), FeatureShape(768, Grid(4, 4), 0, 2, 16, (64, 64))),
        (Timm("convnext_tiny", 64, 1), FeatureShape(768, Grid(8, 8), 0, 3, 8, (64, 64))),
        (Timm("resnet50", 64, stride=16), FeatureShape(2048, Grid(4, 4), 0, 1, 16, (64, 64))),
    ],
)
def test_shapes_follow_from_the_arguments(word: Timm, expected: FeatureShape) -> None:
    assert word.shape() == expected


@pytest.mark.parametrize(
    ("word", "argument", "message"),
    [
        (Timm("vit_bse_patch16_224", 224), "model", "has no model `vit_bse_patch16_224`"),
        (Timm("volo_d1_224", 224), "model", "no dense grid"),
        (Timm("vit_base_patch16_224", 30), "image", "not a whole number of tokens of 16px"),
        (Timm("resnet18", 64, 4), "patch", "no patch embedding"),
        (Timm("resnet18", 64, width=8), "width", "argument of plain ViTs"),
        (Timm("resnet18", 64, positions="sincos"), "positions", "argument of plain ViTs"),
        (Timm("beit_base_patch16_224", 224, positions="sincos"), "positions", "argument of plain ViTs"),
        (Timm("beit_base_patch16_224", 224, class_token=False), "class_token", "argument of plain ViTs"),
        (Timm("beit_base_patch16_224", 224, init="mae"), "init", "argument of plain ViTs"),
        (Timm("swin_tiny_patch4_window7_224", 224, init="beit"), "init", "argument of plain ViTs"),
        (Timm("vit_base_patch16_224", 224, positions="shared relative"), "positions", "no bias of attention"),
        (Timm("resnet18", 64, freeze_patch_embedding=True), "freeze_patch_embedding", "no patch embedding"),
        (Timm("resnet18", 64, stride=4), "stride", "cannot be had by dilation"),
        (Timm("vit_base_patch16_224", 224, stride=8), "stride", "ResNet or ConvNeXt"),
        (Timm("vit_base_patch16_224", 224, width=30, heads=4), "heads", "4 heads do not divide 30"),
        (Timm("vit_base_patch16_224", 224, width=18, heads=3, positions="sincos"), "positions", "multiple of 4"),
        (Timm("bat_resnext26ts", 64), "image", "only takes images of 256px"),
        (Timm("densenet121", 64, drop_path=0.1), "drop_path", "no stochastic depth"),
        (Timm("vit_base_patch16_224", 224, pretrained=True, depth=2), "pretrained", "only the model as it is"),
        (Timm("vit_base_patch16_224", 224, pretrained=True, weights="x"), "weights", "two sets of weights"),
    ],
)
def test_what_cannot_be_is_said_at_the_argument(word: Timm, argument: str, message: str) -> None:
    with pytest.raises(WordError, match=message) as caught:
        word.shape()
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "word",
    [
        Timm("bat_resnext26ts", 256),
        Timm("densenet121", 64),
        Timm("convnext_tiny", 64, drop_path=0.1),
        Timm("vit_base_patch16_224", 224, weights="x"),
        Timm("beit_base_patch16_224", 224, positions="relative", freeze_patch_embedding=True, init="beit"),
        Timm("swin_tiny_patch4_window7_224", 224, freeze_patch_embedding=True),
        Timm("vit_base_patch16_224", 224, width=24, heads=3, positions="sincos"),
        Timm("vit_base_patch16_224", 224, pretrained=True),
    ],
)
def test_the_nearest_that_can_be(word: Timm) -> None:
    assert word.shape().grid.tokens > 0


@pytest.mark.parametrize("size", [(48, 64), (64, 48)])
def test_both_sides_of_another_size_are_whole_numbers_of_tokens(size: tuple[int, int]) -> None:
    word = Timm("resnet18", 64)
    with pytest.raises(WordError, match="no whole number of tokens of 32px"):
        word.shape_at(size)
    assert word.shape_at((96, 32)).grid == Grid(3, 1)


def test_an_unknown_name_comes_with_near_ones() -> None:
    with pytest.raises(WordError) as caught:
        timm_model("vit_tiny_patch16_244")
    assert caught.value.help is not None and '"vit_tiny_patch16_224"' in caught.value.help


def test_effects_are_batch_norm_and_stochastic_depth() -> None:
    assert Timm("vit_base_patch16_224", 224).effects_of() == frozenset()
    assert {e.value for e in Timm("resnet18", 64).effects_of()} == {"batch-coupled", "stateful"}
    assert {e.value for e in Timm("convnext_tiny", 64, drop_path=0.1).effects_of()} == {"random"}
    assert Timm("resnet18", 64).couples_batch() and not Timm("convnext_tiny", 64).couples_batch()


def test_the_projector_sets_the_width_that_is_compared() -> None:
    assert Timm("resnet18", 64, projector=Mlp(width=128)).projected_width() == 128
    assert Timm("resnet18", 64).projected_width() == 512


def test_shapes_need_no_torch() -> None:
    program = (
        "import sys, json; from m3i_dsl.vocabulary.encoders.timm import Timm;"
        "s = Timm('swin_tiny_patch4_window7_224', 224).shape();"
        "print(json.dumps([s.width, [m for m in ('torch', 'timm', 'numpy') if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [768, []]


@pytest.mark.parametrize(
    "name",
    ["vit_tiny_patch16_224", "beit_base_patch16_224", "swin_tiny_patch4_window7_224", "resnet10t", "convnext_atto"],
)
def test_the_catalogue_says_what_its_script_finds(name: str) -> None:
    from m3i_dsl.modules.timm_catalogue import describe

    found = asdict(describe(name))
    assert asdict(timm_model(name)) == found | {"unused": tuple(found["unused"])}


def test_the_script_refuses_a_model_without_a_grid() -> None:
    from m3i_dsl.modules.timm_catalogue import NoGridError, describe

    with pytest.raises(NoGridError, match="does not divide"):
        describe("inception_v3")
