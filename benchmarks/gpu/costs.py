"""Where the time of a step goes, and what a layout of convolutions is worth.

Takes: the device, `cuda` or, to try it, `cpu`. Gives: milliseconds and shares, as plain values, to be laid beside
`m3ic plan --gpu`. Guarantees: parts are timed in one process, each between two waits for the device; nothing else runs.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.gpu.checks import Found
from benchmarks.gpu.job import job
from benchmarks.speed.compiled import CompiledStep, compile_recipe, recipe_text
from benchmarks.speed.size import SIZES
from m3i_dsl.runtime.kernels import Kernels
from m3i_dsl.runtime.monitors import CollapseMonitor
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext

REPEATED = 20


def profile(device: str) -> Found:
    """Parts of a step of M3I, ViT-B on a GPU: forward and backward, the average, the guard, monitors, augmentation."""
    size = SIZES["base" if device == "cuda" else "tiny"]
    recipe = compile_recipe(recipe_text("m3i"), size, precision="bf16")
    step = CompiledStep(recipe.executable, recipe.batch, device)
    found: Found = {"step": _milliseconds(step, device)}
    with torch.no_grad():
        output = step.module(**step.batch)
    found["average"] = _milliseconds(lambda: step.averages.update(0, torch.zeros((), device=device)), device)
    monitor = CollapseMonitor()
    found["monitors"] = _milliseconds(lambda: monitor.observe(output["representations"]), device)
    batch = size.batch if device == "cuda" else 8
    stream = job("m3i_digits", device, batch=batch).stream
    batches = iter(stream.batches(0, 4 * REPEATED))
    found["decoding and augmentation of a batch of digits"] = _milliseconds(lambda: next(batches), device)
    return found


def convolutions(device: str) -> Found:
    """Images a second of ResNet-50 at 224 px, forward and backward in bf16: three settings of layout and timing."""
    name, image, batch = ("resnet50", 224, 128) if device == "cuda" else ("resnet10t", 32, 2)
    where = torch.device(device)
    plain = Timm(name, image).build(EncoderContext())
    images = torch.randn(batch, 3, image, image, device=where)
    settings = {
        "channels first": Kernels(channels_last="off", cudnn_benchmark=False),
        "channels first, timed": Kernels(channels_last="off", cudnn_benchmark=True),
        "channels last": Kernels(channels_last="on", cudnn_benchmark=False),
        "channels last, timed": Kernels(channels_last="on", cudnn_benchmark=True),
        "channels last, timed, TF32": replace(Kernels(channels_last="on", cudnn_benchmark=True), tf32=True),
    }
    found: Found = {}
    for label, kernels in settings.items():
        model = copy.deepcopy(plain).to(where).train()
        kernels.apply(model, where, sharded=False)
        found[label] = round(batch / (_milliseconds(lambda model=model: _pass(model, images), device) / 1e3), 1)
    Kernels().apply(plain, where, sharded=False)
    return found


def _pass(model: nn.Module, images: torch.Tensor) -> None:
    model.zero_grad(set_to_none=True)
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        tokens = model(images)
    F.mse_loss(tokens.float(), torch.zeros_like(tokens, dtype=torch.float32)).backward()


def _milliseconds(call: Callable[[], object], device: str) -> float:
    """The median of repeated calls, each between two waits for the device, after three that do not count."""
    times: list[float] = []
    for turn in range(3 + (REPEATED if device == "cuda" else 2)):
        begun = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn >= 3:
            times.append(1e3 * (time.perf_counter() - begun))
    return round(statistics.median(times), 3)


COSTS = (profile, convolutions)
