"""Exports load through timm's own doors and compute the same features."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path

import pytest
import safetensors
import timm
import torch
from torch import nn

from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.export import FILES, Backbone, export_timm
from m3i_dsl.modules.encoders.timm import model_arguments
from m3i_dsl.vocabulary.encoders.catalogue import timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext
from tests.runtime.crash import in_child, killed_at

VIT = "vit_tiny_patch16_224"
WORDS = {
    "class token": Timm(VIT, 32, patch=4, width=32, depth=2, heads=2),
    "no class token": Timm(VIT, 32, patch=8, width=32, depth=1, heads=2, class_token=False, final_norm=False),
    "fixed positions": Timm(VIT, 48, patch=16, width=32, depth=1, heads=2, positions="sincos"),
    "drop path": Timm(VIT, 32, patch=16, width=32, depth=1, heads=2, drop_path=0.1),
    "tag": Timm("vit_tiny_patch16_224.augreg_in21k", 32, width=32, depth=1, heads=2),
    "swin": Timm("swin_tiny_patch4_window7_224", 64, patch=2),
    "swinv2": Timm("swinv2_tiny_window8_256", 64),
    "convnext": Timm("convnext_atto", 32),
    "resnet": Timm("resnet18", 32),
    "dilated resnet": Timm("resnet18", 32, stride=8),
}


def trained(word: Timm) -> nn.Module:
    """An encoder whose parameters and buffers are no longer those of a fresh one."""
    torch.manual_seed(0)
    encoder = word.build(EncoderContext())
    encoder.train()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        encoder(torch.randn(4, 3, word.image, word.image))  # moves the statistics of a batch norm
    return encoder.eval()


def backbone(word: Timm, encoder: nn.Module) -> Backbone:
    return Backbone(
        model=encoder.get_submodule("model"),
        architecture=word.model.split(".")[0],
        arguments=model_arguments(word, timm_model(word.model)),
        image=(word.image, word.image),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
        left_out=("`mask_token` of the encoder",),
        metadata={"recipe": "mae", "fingerprint": "abc"},
    )


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow) if k == "swinv2" else k for k in WORDS])
def test_timm_loads_it_with_the_same_features(kind: str, tmp_path: Path) -> None:
    word = WORDS[kind]
    encoder = trained(word)
    exported = backbone(word, encoder)
    export = export_timm(exported, tmp_path / "export")
    assert export.difference == 0.0
    loaded = [
        timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True),
        timm.create_model(
            exported.architecture,
            checkpoint_path=str(tmp_path / "export" / "model.safetensors"),
            **exported.arguments,
        ),
    ]
    images = torch.randn(2, 3, word.image, word.image)
    with torch.no_grad():
        expected = encoder.get_submodule("model").forward_features(images)  # pyright: ignore[reportCallIssue]
        for model in loaded:
            assert torch.equal(model.eval().forward_features(images), expected)
    names = set(timm.create_model(exported.architecture, **exported.arguments).state_dict())
    with safetensors.safe_open(tmp_path / "export" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == names


def test_the_documented_line_is_the_one_that_loads(tmp_path: Path) -> None:
    word = WORDS["class token"]
    exported = backbone(word, trained(word))
    export = export_timm(exported, tmp_path / "export")
    readme = (tmp_path / "export" / "README.md").read_text()
    assert export.line in readme
    arguments = ", ".join(f"{name}={value!r}" for name, value in exported.arguments.items())
    assert f"timm.create_model('{VIT}', checkpoint_path=\"model.safetensors\", {arguments})" in readme


def test_a_classifier_can_be_put_on_top(tmp_path: Path) -> None:
    word = WORDS["class token"]
    encoder = trained(word)
    export_timm(backbone(word, encoder), tmp_path / "export")
    model = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True, num_classes=7).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert model(images).shape == (2, 7)
        expected = encoder.get_submodule("model").forward_features(images)  # pyright: ignore[reportCallIssue]
        assert torch.equal(model.forward_features(images), expected)


def test_config_and_metadata(tmp_path: Path) -> None:
    word = WORDS["class token"]
    export_timm(backbone(word, trained(word)), tmp_path / "export")
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["architecture"] == VIT
    assert config["pretrained_cfg"]["mean"] == [0.5, 0.4, 0.3]
    assert config["pretrained_cfg"]["input_size"] == [3, 32, 32]
    assert config["m3ic"]["recipe"] == "mae"
    assert config["m3ic"]["left_out"] == ["`mask_token` of the encoder"]
    data = timm.data.resolve_model_data_config(  # pyright: ignore[reportAttributeAccessIssue]
        timm.create_model(f"local-dir:{tmp_path / 'export'}")
    )
    assert (tuple(data["mean"]), tuple(data["std"])) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert tuple(data["input_size"]) == (3, 32, 32)
    with safetensors.safe_open(tmp_path / "export" / "model.safetensors", "pt") as file:
        assert file.metadata()["fingerprint"] == "abc"
        assert not [name for name in file.keys() if "mask_token" in name]  # noqa: SIM118  # not a dict
    assert "* `mask_token` of the encoder" in (tmp_path / "export" / "README.md").read_text()


def test_an_export_is_overwritten_only_by_force(tmp_path: Path) -> None:
    word = WORDS["class token"]
    exported = backbone(word, trained(word))
    folder = tmp_path / "export"
    export_timm(exported, folder)
    before = (folder / "model.safetensors").read_bytes()
    with torch.no_grad():
        next(exported.model.parameters()).add_(1)
    with pytest.raises(EvaluationError) as caught:
        export_timm(exported, folder)
    assert caught.value.code == "M3I0762"
    assert (folder / "model.safetensors").read_bytes() == before
    export_timm(exported, folder, force=True)
    assert (folder / "model.safetensors").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export"]


def test_an_export_that_is_killed_at_any_moment_leaves_the_one_before_or_the_new_one(tmp_path: Path) -> None:
    exported = backbone(WORDS["class token"], trained(WORDS["class token"]))
    folder = tmp_path / "export"

    def export(fatal: int) -> None:
        torch.set_num_threads(1)  # those of the parent are not here
        killed_at(tmp_path, fatal)
        export_timm(exported, folder, force=True)

    def lying_there() -> str | None:
        """What `folder` is; a mixture of both is an error."""
        if not folder.exists():
            return None
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        timm.create_model(f"local-dir:{folder}", pretrained=True)
        return json.loads((folder / "config.json").read_text())["m3ic"]["fingerprint"]

    seen: list[str | None] = []
    for fingerprint in ("first", "second"):
        exported = dataclasses.replace(exported, metadata={"fingerprint": fingerprint})
        for fatal in range(1, 100):
            killed = in_child(partial(export, fatal))
            seen.append(lying_there())
            if seen[-1] == fingerprint or not killed:
                break  # it has been swapped in: what is left to do is to remove the one before
        assert fatal > 10
        export_timm(exported, folder, force=True)  # nothing that was left is in the way
        assert lying_there() == fingerprint
        assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert list(dict.fromkeys(seen)) == [None, "first", "second"]


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    word = WORDS["class token"]
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "thesis.tex").write_text("precious")
    with pytest.raises(EvaluationError, match=r"thesis\.tex"):
        export_timm(backbone(word, trained(word)), tmp_path / "export", force=True)
    assert (tmp_path / "export" / "thesis.tex").read_text() == "precious"


def test_other_features_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    word = WORDS["class token"]
    exported = backbone(word, trained(word))
    block = exported.model.get_submodule("blocks.0")
    block.register_forward_hook(lambda _module, _inputs, output: output * 1.01)
    with pytest.raises(EvaluationError) as caught:
        export_timm(exported, tmp_path / "export")
    assert caught.value.code == "M3I0763"
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_stays_as_it_was(tmp_path: Path) -> None:
    word = WORDS["resnet"]
    encoder = trained(word).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = torch.get_rng_state()
    export_timm(backbone(word, encoder), tmp_path / "export")
    assert encoder.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
