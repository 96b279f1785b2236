"""What `check` knows of timm's models, without importing timm.

Takes: `timm_catalogue.json` and `timm_weights.json`, written by `python -m m3i_dsl.modules.timm_catalogue`. Gives: the
entry of a model by name, or a WordError with near names; what its weights were trained on. Guarantees: each file is
read once, at the first look-up.
"""

import difflib
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from m3i_dsl.vocabulary.kinds import WordError

Family = Literal["vit", "beit", "swin", "swinv2", "convnext", "resnet", "generic"]
Layout = Literal["tokens", "NHWC", "NCHW"]

CATALOGUE = Path(__file__).with_name("timm_catalogue.json")
WEIGHTS = CATALOGUE.with_name("timm_weights.json")

PLAIN: tuple[Family, ...] = ("vit", "beit")
"""Blocks of one width on one grid."""


@dataclass(frozen=True, slots=True)
class TimmModel:
    """One model at its default settings.

    `family` chooses the adapter, `layout` is what `forward_features` returns; `width`, `stride`, `prefix` describe its
    grid, `depth` counts the blocks on it that can be tapped. `image` is the default size; `size` says how another is
    had: as an `argument`, `free` (any multiple of the stride), or not (`fixed`). `patch` is the size of a stem of one
    non-overlapping convolution, else 0; `heads` and `final_norm` are of a ViT or BEiT. `random` models draw random
    numbers in training even without drop path. `unused` names parameters outside of the features (heads).
    """

    family: Family
    width: int
    stride: int
    prefix: int
    depth: int
    image: int
    size: Literal["argument", "free", "fixed"]
    layout: Layout
    patch: int
    heads: int
    class_token: bool
    final_norm: bool
    batch_norm: bool
    drop_path: bool
    random: bool
    unused: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether it is blocks of one width on one grid, each of which can be tapped."""
        return self.family in PLAIN


@functools.cache
def catalogue() -> dict[str, Any]:
    """The file: `timm` (version), `models`, `without_grid`."""
    return json.loads(CATALOGUE.read_text(encoding="ascii"))


def timm_model(name: str) -> TimmModel:
    """The entry of `name`, whose tag after a point (`vit_base_patch16_224.mae`) only chooses pretrained weights."""
    bare = name.split(".")[0]
    entry: dict[str, Any] | None = catalogue()["models"].get(bare)
    if entry is not None:
        unused: list[str] = entry["unused"]
        fields: dict[str, Any] = entry | {"unused": tuple(unused)}
        return TimmModel(**fields)
    if bare in catalogue()["without_grid"]:
        raise WordError(
            f"timm model `{name}` yields no dense grid of features",
            argument="model",
            help="choose a model whose features keep a square grid, such as a ViT, Swin, ConvNeXt, or ResNet",
        )
    near = difflib.get_close_matches(bare, catalogue()["models"], n=3)
    raise WordError(
        f"timm {catalogue()['timm']} has no model `{name}`",
        argument="model",
        help="did you mean " + " or ".join(f'"{candidate}"' for candidate in near) + "?" if near else None,
    )


@dataclass(frozen=True, slots=True)
class TimmWeights:
    """Weights of timm: `mean` and `std` of the pixels that they were trained on, and the rows of their linear head."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int


@functools.cache
def _weights() -> dict[str, Any]:
    """The file: `timm` (version), `statistics`, and for each model its tags, the default one first."""
    return json.loads(WEIGHTS.read_text(encoding="ascii"))


def timm_weights(name: str) -> TimmWeights | None:
    """The weights that `name` has with its tag, or without one by default; None when timm has no such weights."""
    bare, _, tag = name.partition(".")
    tags: dict[str, tuple[int, int]] = _weights()["models"].get(bare, {})
    found = tags.get(tag) if tag else next(iter(tags.values()), None)
    if found is None:
        return None
    mean, std = _weights()["statistics"][found[0]]
    return TimmWeights(tuple(mean), tuple(std), found[1])
