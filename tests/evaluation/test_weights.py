"""What an encoder starts from: files, exports, runs; and published checkpoints under timm's names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from m3i_dsl.artifact.lock import file_sha256
from m3i_dsl.cli.main import main
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.export import Backbone, export_timm
from m3i_dsl.evaluation.importing import import_checkpoint
from m3i_dsl.evaluation.weights import read_weights, weights_sha256
from m3i_dsl.modules.encoders.frozen import NoGradient
from m3i_dsl.modules.encoders.timm import model_arguments
from m3i_dsl.runtime.checkpoints.content import Content
from m3i_dsl.runtime.checkpoints.named import WEIGHTS, module_tensors
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity
from m3i_dsl.vocabulary.encoders.catalogue import timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext, WordError

VIT = Timm("vit_tiny_patch16_224", 32, patch=8, width=32, depth=2, heads=2)
MODEL = "test_vit"
"""The smallest ViT that timm has."""


def built(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return VIT.build(EncoderContext())


def of_timm(module: nn.Module) -> dict[str, Tensor]:
    return module.get_submodule("model").state_dict()


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def save_step(run: Path, step: int, trained: nn.Module) -> None:
    """A checkpoint of an average and a trained encoder, the average first."""
    root = nn.ModuleDict({"encoders": nn.ModuleDict({"average": NoGradient(built(9)), "image": trained})})
    tensors = {WEIGHTS + name: tensor for name, tensor in module_tensors(root)[0].items()}
    with CheckpointStore(run / "checkpoints", keep=3) as store:
        store.save(step, Content(tensors, {}))


def test_an_export_and_a_run_are_weights_like_a_file(tmp_path: Path) -> None:
    encoder = built(1)
    arguments = model_arguments(VIT, timm_model(VIT.model))
    export_timm(
        Backbone(encoder.get_submodule("model"), VIT.model, arguments, (32, 32), (0.5,) * 3, (0.5,) * 3),
        tmp_path / "export",
    )
    same(read_weights(tmp_path / "export"), of_timm(encoder))
    assert weights_sha256(tmp_path / "export") == file_sha256(tmp_path / "export" / "model.safetensors")
    with RunFolder.create(tmp_path / "run", RunIdentity("plain", "f" * 64, {})):
        save_step(tmp_path / "run", 2, encoder)
    other = built(2)
    VIT.load_file(other, tmp_path / "run")
    same(of_timm(other), of_timm(encoder))


def test_of_a_run_it_is_the_newest_checkpoint_that_verifies(tmp_path: Path) -> None:
    first, second, third = built(1), built(2), built(3)
    with RunFolder.create(tmp_path / "run", RunIdentity("plain", "f" * 64, {})):
        save_step(tmp_path / "run", 2, first)
        pinned = weights_sha256(tmp_path / "run")
        save_step(tmp_path / "run", 4, second)
        assert weights_sha256(tmp_path / "run") != pinned
        save_step(tmp_path / "run", 6, third)
    damaged = next((tmp_path / "run" / "checkpoints" / "step-000006").glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    same(read_weights(tmp_path / "run"), of_timm(second))


def test_of_a_run_of_stages_it_is_the_last_that_has_a_checkpoint(tmp_path: Path) -> None:
    stages = ("pixels", "labels", "last")
    (tmp_path / "run").mkdir()
    identity = RunIdentity("plain", "f" * 64, {}, stages)
    fields = {"recipe": "plain", "fingerprint": "f" * 64, "versions": {}, "stages": stages}
    (tmp_path / "run" / "run.json").write_text(json.dumps({**fields, "checksum": identity.checksum}))
    save_step(tmp_path / "run" / "stages" / "1-pixels", 2, built(1))
    save_step(tmp_path / "run" / "stages" / "2-labels", 2, built(2))
    same(read_weights(tmp_path / "run"), of_timm(built(2)))


def test_folders_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WordError, match="neither an export nor a run"):
        read_weights(tmp_path)
    with RunFolder.create(tmp_path / "run", RunIdentity("plain", "f" * 64, {})):
        pass
    with pytest.raises(WordError, match="run `run` has no checkpoint yet"):
        weights_sha256(tmp_path / "run")


def test_a_head_that_is_asked_for_is_in_the_weights(tmp_path: Path) -> None:
    word = Timm("vit_tiny_patch16_224", 32, patch=8, width=32, depth=1, heads=2, head=True)
    module: Any = word.build(EncoderContext())
    state = {name: value for name, value in module.model.state_dict().items() if not name.startswith("head")}
    torch.save(state, tmp_path / "x.pth")
    export = {name: value.clone() for name, value in state.items()}
    from safetensors.torch import save_file

    save_file(export, tmp_path / "headless.safetensors")
    with pytest.raises(WordError, match=r"lacks parameters: `head\.bias` and 1 more"):
        word.load_file(module, tmp_path / "headless.safetensors")


# --- import -----------------------------------------------------------------------------------------------------------


def published() -> dict[str, Tensor]:
    torch.manual_seed(4)
    return timm.create_model(MODEL, num_classes=10).state_dict()


def test_a_published_checkpoint_becomes_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = published()
    torch.save(
        {
            "epoch": 3,
            "student": {f"module.backbone.{name}": value + 1 for name, value in state.items()},
            "teacher": {
                **{f"module.backbone.{name}": value for name, value in state.items()},
                "module.head.last_layer.weight": torch.zeros(2, 2),
            },
        },
        tmp_path / "dino.pth",
    )
    words = ["import", str(tmp_path / "dino.pth"), "--as", MODEL, "-o", str(tmp_path / "w.safetensors")]
    assert main(words) == 1
    assert "choose one: `--key student`, `--key teacher`" in capsys.readouterr().err
    assert main([*words, "--key", "teacher", "--prefix", "backbone."]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path / "w.safetensors")
    assert "left out: `head.bias`, `head.weight`, `module.head.last_layer.weight`" in shown.err
    found = load_file(tmp_path / "w.safetensors")
    same(found, {name: value for name, value in state.items() if not name.startswith("head")})
    assert main([*words, "--key", "teacher", "--prefix", "backbone."]) == 1
    assert "M3I0762" in capsys.readouterr().err


def test_names_go_through_timms_own_filter(tmp_path: Path) -> None:
    """It resamples positions of another grid."""
    state = published()
    table = state["pos_embed"]
    state["pos_embed"] = torch.ones(1, 1 + 4, table.shape[-1])
    torch.save({"model": state}, tmp_path / "other_grid.pth")
    done = import_checkpoint(tmp_path / "other_grid.pth", MODEL, tmp_path / "w.safetensors")
    assert load_file(done.file)["pos_embed"].shape == table.shape


class Planted:
    """What a pickle of strangers may hold."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (Path("planted"),)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ({"weights": Planted()}, "M3I0764", "to read it would run code from it"),
        ({"epoch": 3}, "M3I0764", "holds no tensors"),
        ({"patch_embed.proj.bias": torch.zeros(64)}, "M3I0765", "lacks `blocks.0.attn.proj.bias` and"),
        ({**published(), "norm.weight": torch.zeros(3)}, "M3I0765", "has another shape of `norm.weight`"),
        (
            {**published(), "norm.weight": torch.full([64], torch.nan)},
            "M3I0764",
            "other than finite real numbers in `norm.weight`",
        ),
        (
            {**published(), "norm.weight": torch.ones(64).int()},
            "M3I0764",
            "other than finite real numbers in `norm.weight`",
        ),
        (
            {**published(), "norm.weight": torch.ones(64) * 1j},
            "M3I0764",
            "other than finite real numbers in `norm.weight`",
        ),
        (
            {**published(), "norm.weight": torch.ones(64).to_sparse()},
            "M3I0764",
            "other than finite real numbers in `norm.weight`",
        ),
        (
            {**published(), "norm.weight": torch.ones(64, device="meta")},
            "M3I0764",
            "other than finite real numbers in `norm.weight`",
        ),
    ],
)
def test_what_is_not_the_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, code: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(EvaluationError, match=message) as caught:
        import_checkpoint(tmp_path / "x.pth", MODEL, tmp_path / "w.safetensors")
    assert caught.value.code == code
    assert not (tmp_path / "planted").exists() and not (tmp_path / "w.safetensors").exists()


def test_a_file_that_is_no_checkpoint_and_a_model_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"words")
    os.mkfifo(tmp_path / "pipe.pth")
    files = (("x.pth", MODEL, "M3I0764"), ("y.pth", MODEL, "M3I0764"), ("pipe.pth", MODEL, "M3I0764"))
    for path, model, code in (*files, ("x.pth", "vit_x", "M3I0765")):
        with pytest.raises(EvaluationError) as caught:
            import_checkpoint(tmp_path / path, model, tmp_path / "w.safetensors")
        assert caught.value.code == code
