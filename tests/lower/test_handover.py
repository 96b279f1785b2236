"""Which weights move on from stage to stage, and into what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from m3i_dsl import driver
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.lower.handover import handed_over, receive
from m3i_dsl.source import SourceFile

SMALL = 'timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 16, depth: 1, heads: 2'

HEAD = """m3i 1
recipe moved

data digits = embedded("digits")

view view1 of digits.image = crop(16px)
view large of digits.image = crop(32px)

"""


def stage(name: str, encoder: str, target: str, *, view: str = "view1", shown: str = "") -> str:
    """A stage that trains `encoder`; `target` is its representation."""
    stops = "none" if "pixels" in target else "stop gradient"
    return f"""
stage {name} {{
  objective {name} {{
    input {shown or view}
    represent dense feature of {encoder}

    target y {{
      data {view}
      representation {target}
      predictor {"decoder(layers: 1, heads: 2)" if shown else "linear"}
      regularization {stops}
      distribution gaussian
    }}
  }}
  train {{
    batch 8
    steps 2
    optimizer adamw(lr: 1e-3)
  }}
  evaluate {{
    knn at end
  }}
}}
"""


def compiled(text: str) -> driver.CompiledStages:
    return driver.compile_stages(driver.check_file(SourceFile("moved.m3i", HEAD + text)).stages(), Path())


def moves(found: driver.CompiledStages) -> list[tuple[str, str, str, str]]:
    return [(edge.encoder, edge.source, edge.into, edge.to) for edge in found.edges]


def received(found: driver.CompiledStages) -> list[Mapping[str, torch.Tensor]]:
    """Hands over from each stage to the next as training does, and gives the state of each stage then."""
    results: dict[str, dict[str, torch.Tensor]] = {}
    for name, one in zip(found.pipeline.names, found.stages, strict=True):
        receive(one.executable, [edge for edge in found.edges if edge.to == name], results.__getitem__)
        results[name] = {key: tensor.clone() for key, tensor in handed_over(one.executable).items()}
    return [one.executable.module.state_dict() for one in found.stages]


def test_a_mask_token_waits_for_the_next_stage_that_masks() -> None:
    masked = "masked view1 by random(50%, tokens: mask)"
    found = compiled(
        f"encoder image = {SMALL})\n"
        + stage("one", "image", "dense pixels", shown=masked)
        + stage("two", "image", "dense pixels")
        + stage("three", "image", "dense pixels", shown=masked)
    )
    assert sorted(moves(found)) == [
        ("image", "one", "image", "three"),
        ("image", "one", "image", "two"),
        ("image", "two", "image", "three"),
    ]
    waits = next(edge for edge in found.edges if (edge.source, edge.to) == ("one", "three"))
    assert list(waits.parameters) == ["encoders/mask_token"]
    first, second, third = received(found)
    assert torch.equal(third["encoders.image.mask_token"], first["encoders.image.mask_token"])
    assert torch.equal(third["encoders.image.model.norm.weight"], second["encoders.image.model.norm.weight"])


def test_averages_and_frozen_copies_are_made_at_the_start_of_the_stage_with_their_projector() -> None:
    encoders = f"encoder image = {SMALL}, projector: mlp)\nencoder slow = ema of image(0.9)\n"
    feature = "dense feature(projected: true) of slow"
    found = compiled(encoders + stage("one", "image", feature) + stage("two", "image", feature))
    assert sorted(moves(found)) == [("image", "one", "image", "two"), ("image", "one", "slow", "two")]
    with torch.no_grad():
        for tensor in found.stages[0].executable.module.get_submodule("encoders.image").parameters():
            tensor.add_(1)
    first, second = received(found)
    for part in ("encoders", "projectors"):
        names = [name for name in first if name.startswith(f"{part}.image.")]
        assert names
        for name in names:
            assert torch.equal(second[name], first[name])
            assert torch.equal(second[name.replace(".image.", ".slow.module.")], first[name])
    average = "encoders.slow.module.model.norm.weight"
    assert not torch.equal(second[average], first[average]), "the average itself does not move on"


def test_a_frozen_copy_with_weights_of_its_own_takes_nothing(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    one = compiled(f"encoder image = {SMALL})\n" + stage("one", "image", "dense pixels"))
    module = one.stages[0].executable.module.get_submodule("encoders.image.model")
    save_file({name: tensor.clone() for name, tensor in module.state_dict().items()}, tmp_path / "w.safetensors")
    encoders = (
        f"encoder image = {SMALL})\nencoder student = {SMALL})\n"
        f'encoder teacher = frozen of image("{tmp_path / "w.safetensors"}")\n'
    )
    text = stage("one", "image", "dense pixels") + stage("two", "student", "dense feature of teacher")
    assert compiled(encoders + text).edges == ()


def test_start_takes_the_weights_of_another_encoder_with_positions_resampled() -> None:
    big = SMALL.replace("16px", "32px")
    found = compiled(
        f"encoder image = {SMALL})\nencoder big = {big}, start: image)\n"
        + stage("one", "image", "dense pixels")
        + stage("two", "big", "dense pixels", view="large")
        + stage("three", "big", "dense pixels", view="large")
    )
    assert moves(found) == [("image", "one", "big", "two"), ("big", "two", "big", "three")]
    first, second, third = received(found)
    small, large = (state[f"encoders.{name}.model.pos_embed"] for state, name in ((first, "image"), (second, "big")))
    assert small.shape[1] < large.shape[1] and torch.equal(small[:, 0], large[:, 0])
    assert small[:, 1:].mean() == pytest.approx(float(large[:, 1:].mean()), abs=0.01)
    weight = "model.blocks.0.attn.qkv.weight"
    assert torch.equal(first[f"encoders.image.{weight}"], second[f"encoders.big.{weight}"])
    assert torch.equal(third["encoders.big.model.pos_embed"], large)


@pytest.mark.parametrize(
    ("other", "first"),
    [("depth: 2", "model.blocks.1.attn.proj.bias"), ("width: 32", "model.blocks.0.attn.proj.bias")],
)
def test_what_does_not_fit_is_refused_with_the_first_parameter(other: str, first: str) -> None:
    name = other.partition(":")[0]
    other_size = SMALL.replace(f"{name}: 1", other) if name == "depth" else SMALL.replace("width: 16", other)
    text = (
        f"encoder image = {SMALL})\nencoder big = {other_size}, start: image)\n"
        + stage("one", "image", "dense pixels")
        + stage("two", "big", "dense pixels")
    )
    with pytest.raises(RecipeError) as refused:
        compiled(text)
    (fault,) = refused.value.diagnostics
    assert fault.code == "M3I0330" and f"`{first}`" in fault.message and fault.span.text == "image"
