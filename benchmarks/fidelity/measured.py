"""The differences, one function each.

Takes: the name of a recipe, or nothing. Gives: a number. Guarantees: what is compared with is written here or in
tests/numerics from the paper and the published behaviour, in float64; seeds are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.modules.normalize import layer
from m3i_dsl.modules.positions import resampled, sincos_2d
from m3i_dsl.runtime.schedule import LearningRate, ramp_at
from m3i_dsl.vocabulary.kinds import Grid
from m3i_dsl.vocabulary.schedules.cosine import Cosine
from m3i_dsl.vocabulary.values import Ramp


def three_steps(recipe: str) -> float:
    """After three steps of the compiled recipe and of its reference: parameters, buffers, losses."""
    from m3i_dsl.data.stream import Stream
    from tests.numerics.methods import METHODS
    from tests.numerics.recipes import ROOT, compiled, fresh, wide
    from tests.numerics.training import STEPS, train, train_by_hand

    executable = fresh(compiled(recipe).executable)
    stream = Stream(executable.program, executable.inputs, base=ROOT)
    batches = [wide(batch.inputs) for batch in stream.batches(0, STEPS)]
    ours, theirs = train(executable, batches), train_by_hand(executable, METHODS[recipe], batches)
    pairs = [(ours.parameters[name], value) for name, value in theirs.parameters.items()]
    pairs += [(ours.buffers[name].double(), value.double()) for name, value in theirs.buffers.items()]
    pairs.append((torch.tensor(ours.losses), torch.tensor(theirs.losses)))
    return max(float((one - other).abs().max()) for one, other in pairs if one.numel())


def initial(recipe: str) -> float:
    """Deviations of the drawn weights of a ViT of width 384 beside those that the method's code draws with."""
    from m3i_dsl.driver import check_file, compile_program
    from m3i_dsl.source import read_file
    from m3i_dsl.syntax import parse_value
    from tests.numerics.recipes import ROOT

    settings = {"width": "384", "depth": "2", "heads": "6"} | ({"text_width": "384"} if recipe == "clip" else {})
    path = ROOT / f"{recipe}.m3i"
    program = check_file(read_file(path), {name: parse_value(text, name) for name, text in settings.items()}).required()
    module = compile_program(program, path.parent).executable.module
    model: Any = module.get_submodule("encoders.image.model")
    found = {f"{name} {number}": w for number, b in enumerate(model.blocks, 1) for name, w in _matrices(b).items()}
    found |= {"stem": model.patch_embed.proj.weight.flatten(1), "class": model.cls_token}
    expected = _PUBLISHED[recipe](384, found["stem"].shape[1])
    if _PUBLISHED[recipe] is _dino:
        found["prototypes"] = module.get_parameter("projectors.image.prototypes.weight")
        expected["prototypes"] = _uniform(64)
    if recipe == "clip":
        text: Any = module.get_submodule("encoders.words.blocks.0")
        found |= {"text qkv": text.attention.qkv.weight, "text out": text.attention.out.weight}
        expected |= {"text qkv": 384**-0.5, "text out": (2 * 2 * 384) ** -0.5}
    return max(abs(float(found[name].detach().std()) / std - 1) for name, std in expected.items())


def _matrices(block: Any) -> dict[str, Tensor]:
    return {
        "qkv": block.attn.qkv.weight,
        "out": block.attn.proj.weight,
        "in": block.mlp.fc1.weight,
        "last": block.mlp.fc2.weight,
    }


def xavier(inputs: int, outputs: int) -> float:
    """The deviation of xavier-uniform weights."""
    return math.sqrt(2 / (inputs + outputs))


def _uniform(inputs: int) -> float:
    """That of torch's linear layer: uniform up to 1 / sqrt(inputs)."""
    return 1 / math.sqrt(3 * inputs)


def _mae(width: int, pixels: int, joint: int = 3, token: float = 0.02) -> dict[str, float]:
    blocks = {"qkv": xavier(width, joint * width), "out": xavier(width, width)}
    blocks |= {"in": xavier(width, 4 * width), "last": xavier(width, 4 * width)}
    each = {f"{name} {number}": std for number in (1, 2) for name, std in blocks.items()}
    return each | {"stem": xavier(pixels, width), "class": token}


def _beit(width: int, pixels: int) -> dict[str, float]:
    each = {f"{name} {number}": 0.02 for number in (1, 2) for name in ("qkv", "in")}
    each |= {f"{name} {number}": 0.02 / math.sqrt(2 * number) for number in (1, 2) for name in ("out", "last")}
    return each | {"stem": 0.02, "class": 0.02}


def _dino(width: int, pixels: int) -> dict[str, float]:
    each = {f"{name} {number}": 0.02 for number in (1, 2) for name in ("qkv", "out", "in", "last")}
    return each | {"stem": _uniform(pixels), "class": 0.02}


def _clip(width: int, pixels: int) -> dict[str, float]:
    blocks = {
        "qkv": xavier(width, 3 * width),
        "out": _uniform(width),
        "in": _uniform(width),
        "last": _uniform(4 * width),
    }
    each = {f"{name} {number}": std for number in (1, 2) for name, std in blocks.items()}
    return each | {"stem": _uniform(pixels), "class": width**-0.5}


_PUBLISHED: dict[str, Any] = {
    "mae": _mae,
    "siamese_im": _mae,
    "simmim": _beit,
    "beit": _beit,
    "data2vec": _beit,
    "moco_v3": lambda width, pixels: _mae(width, pixels, joint=1, token=1e-6),
    "dino": _dino,
    "ibot": _dino,
    "clip": _clip,
}


def epsilon() -> float:
    """Features of unit variance under LN0 with 1e-6 and 1e-5."""
    x = torch.randn(256, 768, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return float((layer(x) - F.layer_norm(x, (768,), eps=1e-5)).abs().max())


def average_late(start: float, steps: int = 10_000) -> float:
    """The momentum of a step beside that of the next one, which theirs has for the same weights."""
    ramp = Ramp(start, 1.0, "cosine")
    return max(ramp_at(ramp, step + 1, steps) - ramp_at(ramp, step, steps) for step in range(steps - 1))


def first_step(warmup: int) -> float:
    """The factor on the rate in the first step."""
    return LearningRate(warmup, 10 * warmup, Cosine()).factor(0)


def grid_offset() -> float:
    """Sines and cosines of 14 x 14 at 6 x 6 places: here, and by DINO's factor of (6 + 0.1) / 14."""
    table = sincos_2d(Grid(14, 14), 64, torch.float64)
    ours = resampled(table, Grid(14, 14), Grid(6, 6))
    cells = table.T.unflatten(1, (14, 14)).unsqueeze(0)
    theirs = F.interpolate(cells, scale_factor=6.1 / 14, mode="bicubic", recompute_scale_factor=False)
    return float((ours - theirs[0].flatten(1).T).abs().max() / table.std())


def cut_off() -> float:
    """The deviation of a normal number that is drawn again beyond two deviations."""
    draws = torch.empty(1_000_000, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn.init.trunc_normal_(draws, std=1, a=-2, b=2)
    return float(draws.std())
