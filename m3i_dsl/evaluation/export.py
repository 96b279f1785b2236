"""Export of an encoder as a folder that timm loads.

Takes: a timm model, the name and arguments that build it, and what is known of the run. Gives: a folder with
`model.safetensors` (timm's parameter names), `config.json` (timm's form; what m3ic knows is under `m3ic`) and a README
with the line that loads it. Guarantees: the written weights were loaded by timm and gave the same features before the
folder got its name; the folder is there as a whole or not at all; nothing but an earlier export is ever overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from m3i_dsl import __version__
from m3i_dsl.artifact.publish import publish
from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.features import frozen

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
README = "README.md"
FILES = (WEIGHTS, CONFIG, README)

TOLERANCE = 1e-5
"""Largest difference of features, relative to their largest magnitude, that kernels may make on the same machine."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A timm model to export.

    `architecture` and `arguments` build it: `timm.create_model(architecture, **arguments)`. `image` is (height, width),
    `mean` and `std` the normalisation that it was trained with. `left_out` names what the run trained beside it.
    """

    model: nn.Module
    architecture: str
    arguments: Mapping[str, Any]
    image: tuple[int, int]
    mean: Sequence[float]
    std: Sequence[float]
    left_out: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and the largest difference between the trained features and those of timm's own load."""

    folder: Path
    parameters: int
    difference: float

    @property
    def line(self) -> str:
        """The Python line that loads it."""
        return f'timm.create_model("local-dir:{self.folder}", pretrained=True)'


def export_timm(backbone: Backbone, folder: Path, *, force: bool = False) -> Export:
    """Writes `backbone` to `folder`.

    Raises EvaluationError: M3I0762 when something is there that is not an export or `force` was not given, M3I0763 when
    timm, given the written weights, computes other features. Raises OSError.
    """
    _check_folder(folder, force)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in backbone.model.state_dict().items()}
    metadata = {"format": "pt", **_metadata(backbone)}
    weights = safetensors.torch.save(state, metadata=metadata)
    difference = _check_features(backbone, weights)
    parameters = sum(parameter.numel() for parameter in backbone.model.parameters())
    config = json.dumps(_config(backbone), indent=2, allow_nan=False) + "\n"
    export = Export(folder, parameters, difference)
    publish(folder, {WEIGHTS: weights, CONFIG: config.encode(), README: _readme(backbone, export).encode()})
    return export


def _check_folder(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        help_ = "choose another folder with `-o`"
        raise errors.EvaluationError(errors.EXPORT_EXISTS, f"`{folder}` is a file, not a folder", help=help_)
    others = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
    if others:
        raise errors.EvaluationError(
            errors.EXPORT_EXISTS,
            f"`{folder}` holds `{others[0]}`, which is no part of an export",
            help="choose another folder with `-o`: an export replaces its folder as a whole",
        )
    if not force and any(folder.iterdir()):
        raise errors.EvaluationError(
            errors.EXPORT_EXISTS,
            f"`{folder}` already holds an export",
            help="overwrite it with `--force`, or choose another folder with `-o`",
        )


def _check_features(backbone: Backbone, weights: bytes) -> float:
    """The largest absolute difference of `forward_features` on two random images. Raises EvaluationError (M3I0763)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = timm.create_model(backbone.architecture, **backbone.arguments)
        images = torch.rand(2, 3, *backbone.image)
    images = (images - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(backbone.std).view(3, 1, 1)
    parameter = next(backbone.model.parameters())
    fresh.load_state_dict(safetensors.torch.load(weights))
    fresh.to(parameter.device, parameter.dtype)
    images = images.to(parameter.device, parameter.dtype)
    with frozen(backbone.model, fresh):
        ours, theirs = (cast(Tensor, cast(Any, model).forward_features(images)) for model in (backbone.model, fresh))
    difference = float((ours - theirs).abs().max())
    # Written so that a difference that is not a number fails too.
    if not difference <= TOLERANCE * max(1.0, float(ours.abs().max())):
        raise errors.EvaluationError(
            errors.EXPORT_DIFFERS,
            f"timm's `{backbone.architecture}` with the exported weights gives other features, by {difference:.3g}",
            help="export with the version of timm that trained it (see `run.json`), and report this if it is the same",
        )
    return difference


def _config(backbone: Backbone) -> dict[str, Any]:
    """`config.json` as timm's hub and `local-dir:` read it; timm ignores the key `m3ic`."""
    own = cast(Mapping[str, Any], getattr(backbone.model, "pretrained_cfg", {}))
    size = [3, *backbone.image]
    return {
        "architecture": backbone.architecture,
        "num_classes": 0,
        "num_features": getattr(backbone.model, "num_features", None),
        "model_args": dict(backbone.arguments),
        "pretrained_cfg": {
            "tag": "m3ic",
            "custom_load": False,
            "input_size": size,
            "fixed_input_size": bool(own.get("fixed_input_size", False)),
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(backbone.mean),
            "std": list(backbone.std),
            "num_classes": 0,
            "pool_size": own.get("pool_size"),
            "first_conv": own.get("first_conv"),
            "classifier": own.get("classifier"),
        },
        "m3ic": {**_metadata(backbone), "left_out": list(backbone.left_out)},
    }


def _metadata(backbone: Backbone) -> dict[str, str]:
    return {"m3ic_version": __version__, "timm_version": timm.__version__, **backbone.metadata}


def _readme(backbone: Backbone, export: Export) -> str:
    arguments = "".join(f", {name}={value!r}" for name, value in backbone.arguments.items())
    left_out = "".join(f"* {name}\n" for name in backbone.left_out) or "* nothing\n"
    facts = "".join(f"* {name}: {value}\n" for name, value in _metadata(backbone).items())
    pooled = backbone.arguments.get("global_pool") != ""
    classifier = " Pass `num_classes=N` for a new classifier on top." if pooled else ""
    return f"""# {backbone.architecture}, trained with m3ic

```python
import timm

model = {export.line}
```

or, where the folder is not to be named,

```python
model = timm.create_model({backbone.architecture!r}, checkpoint_path="{WEIGHTS}"{arguments})
```

`model.forward_features(images)` gives the features that were trained.{classifier} Images are {backbone.image[0]} x
{backbone.image[1]}, normalised with mean {tuple(backbone.mean)} and std {tuple(backbone.std)}.

{facts}
Left out, as timm's model has no place for it:

{left_out}"""
