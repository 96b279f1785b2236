"""Other backbones, sources, teachers, tokenizers, weightings and precisions: a few steps through the commands."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from m3i_dsl import driver
from m3i_dsl.cli.main import main

VIT = 'timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)'
DIGITS = 'embedded("digits")'


def _recipe(
    *,
    source: str = DIGITS,
    view: str = "crop(32px)",
    encoders: str = f"encoder image = {VIT}",
    input_: str = "view1",
    targets: str,
    weighting: str = "fixed",
    train: str = "precision fp32",
) -> str:
    return f"""m3i 1
recipe variety
data images = {source}
view view1 of images.image = {view}
{encoders}
objective o {{
  input {input_}
  represent dense feature of image
  {targets}
  weighting {weighting}
}}
train {{
  batch 8
  steps 4
  optimizer adamw(lr: 1e-3, weight_decay: 0)
  {train}
}}
"""


def _target(name: str, data: str, representation: str, predictor: str, regularization: str, distribution: str) -> str:
    return f"""target {name} {{
    data {data}
    representation {representation}
    predictor {predictor}
    regularization {regularization}
    distribution {distribution}
  }}
  """


PIXELS = _target("pixels", "view1", "dense pixels", "linear", "none", "gaussian(tokens: hidden)")
CATEGORY = _target("category", "category", "category embedding", "linear", "negative categories", "boltzmann")
CAPTION = _target("caption", "text", "text embedding of words", "linear", "negative texts", "boltzmann")


@dataclass(frozen=True)
class Trained:
    """What a run has recorded of its steps, and its parameters before and after them."""

    steps: list[dict[str, Any]]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]

    def first(self, target: str) -> float:
        return self.steps[0]["losses"][target]

    def weighted(self) -> list[float]:
        """The sum of the weighted losses of each step."""
        return [sum(step["weights"][name] * loss for name, loss in step["losses"].items()) for step in self.steps]


def _train(recipe: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trained:
    """Trains; every trained parameter has moved by its gradient, since nothing decays, and no other one has."""
    monkeypatch.chdir(folder)
    (folder / "recipe.m3i").write_text(recipe, encoding="utf-8")
    compiled = main(["compile", "recipe.m3i"])
    assert compiled == 0, capsys.readouterr().err
    module = driver.load_artifact(Path("target/variety"))[1].module
    assert main(["train", "--device", "cpu", "--workers", "0", "--log-every", "1"]) == 0, capsys.readouterr().err
    run = Path(capsys.readouterr().out.splitlines()[-1])
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert len(steps) == 4 and all(math.isfinite(step["loss"]) for step in steps)
    stored = {
        name: value
        for shard in run.glob("checkpoints/step-000004/*.safetensors")
        for name, value in load_file(shard).items()
    }
    before = {name: parameter.detach() for name, parameter in module.named_parameters()}
    after = {name: stored[f"weights/{name}"] for name in before}
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert {name for name in before if not torch.equal(before[name], after[name])} == trained
    return Trained(steps, before, after)


BACKBONES = {
    "vit_dropped": (
        VIT,
        "crop(32px)",
        "masked view1 by random(75%)",
        PIXELS.replace("linear", "decoder(layers: 1, heads: 3)"),
    ),
    "vit_mask_tokens": (VIT, "crop(32px)", "masked view1 by random(75%, tokens: mask)", PIXELS),
    "swin_mask_tokens": (
        'timm("swin_tiny_patch4_window7_224", image: 64px, patch: 2px)',
        "crop(64px)",
        "masked view1 by random(50%, tokens: mask)",
        PIXELS,
    ),
    "convnext_mask_tokens": (
        'timm("convnext_atto", image: 64px)',
        "crop(64px)",
        "masked view1 by random(50%, tokens: mask)",
        PIXELS,
    ),
    "resnet": ('timm("resnet10t", image: 32px, stride: 8px)', "crop(32px)", "view1", CATEGORY),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_backbone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, view, input_, targets = BACKBONES[name]
    recipe = _recipe(view=view, encoders=f"encoder image = {encoder}", input_=input_, targets=targets)
    _train(recipe, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("weighting", ["fixed", "likelihood", "gradnorm", "lossnorm"])
def test_weighting(
    weighting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    masked = PIXELS.replace("linear", "decoder(layers: 1, heads: 3)")
    recipe = _recipe(input_="masked view1 by random(50%)", targets=masked + CATEGORY, weighting=weighting)
    trained = _train(recipe, tmp_path, monkeypatch, capsys)
    weights = [list(step["weights"].values()) for step in trained.steps]
    added = [0.0] * 4
    match weighting:
        case "fixed":
            assert weights == [[1.0, 1.0]] * 4
        case "likelihood":  # log sigma of each target, which makes its weight smaller while its loss is above it
            added = [-0.5 * sum(map(math.log, np.divide(at, weights[0]))) for at in weights]
            assert added == sorted(added) and added[0] == 0 < added[-1]
        case "gradnorm":
            assert [sum(at) for at in weights] == pytest.approx([2.0] * 4) and weights[0] != weights[-1]
        case "lossnorm":
            assert trained.weighted()[0] == pytest.approx(2.0) and weights[0] != weights[-1]
        case _:
            raise AssertionError(weighting)
    assert [step["loss"] for step in trained.steps] == pytest.approx(np.add(trained.weighted(), added), abs=1e-5)


def test_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is fp32 to the digits that bf16 has, and not fp32."""
    whole, half = (
        _train(_recipe(targets=CATEGORY, train=f"precision {precision}"), folder, monkeypatch, capsys)
        for precision, folder in (("fp32", _new(tmp_path / "fp32")), ("bf16", _new(tmp_path / "bf16")))
    )
    assert all(torch.equal(whole.before[name], half.before[name]) for name in whole.before)
    assert half.first("o.category") == pytest.approx(whole.first("o.category"), rel=0.02)
    assert half.first("o.category") != whole.first("o.category")


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _folder(root: Path) -> None:
    for category in ("cat", "dog"):
        (root / category).mkdir(parents=True)
        for index in range(8):
            (root / category / f"{index}.png").write_bytes(_picture(index))
            (root / category / f"{index}.txt").write_text(f"a {category}, number {index}", encoding="utf-8")


WORDS = "encoder words = transformer(width: 32, layers: 1, heads: 2, context: 32)"


def test_folder_with_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _folder(tmp_path / "images")
    recipe = _recipe(
        source='folder("images", caption: true)', encoders=f"encoder image = {VIT}\n{WORDS}", targets=CATEGORY + CAPTION
    )
    _train(recipe, tmp_path, monkeypatch, capsys)


def test_parquet_with_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    images = [{"bytes": _picture(index), "path": None} for index in range(16)]
    table = pa.table({"image": images, "label": [index % 2 for index in range(16)]})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "train.parquet")
    recipe = _recipe(
        source='parquet("train.parquet", category: "label", prompt: "a photo of a {}")',
        encoders=f"encoder image = {VIT}\n{WORDS}",
        targets=CAPTION,
    )
    _train(recipe, tmp_path, monkeypatch, capsys)


def test_frozen_teacher_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import timm
    from safetensors.torch import save_file

    teacher = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=0
    )
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors")
    distilled = _target("feature", "view1", "dense feature of teacher", "linear", "stop gradient", "huber")
    encoders = f'encoder image = {VIT}\nencoder teacher = frozen of image("teacher.safetensors")'
    trained = _train(_recipe(encoders=encoders, targets=distilled), tmp_path, monkeypatch, capsys)
    for name, value in teacher.state_dict().items():
        assert torch.equal(trained.after[f"encoders.teacher.module.model.{name}"], value)


def test_tokenizer_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "a", "digit", "handwritten", "the", "number", "photo", "of"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = 'encoder words = transformer(width: 32, layers: 1, heads: 2, tokenizer: file, file: "tokenizer.json")'
    trained = _train(_recipe(encoders=f"encoder image = {VIT}\n{text}", targets=CAPTION), tmp_path, monkeypatch, capsys)
    assert trained.after["encoders.words.embedding.weight"].shape == (len(words) + 1, 32), "the words and padding"
