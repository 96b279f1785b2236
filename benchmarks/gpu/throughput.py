"""Compiled recipes of ViT-B/16 and ViT-L/16 at 224 px in bf16 beside hand-written steps.

Takes: options of the command. Gives: the table, row by row: images a second, MFU over a measured matrix product, peak
memory; without a GPU, FLOPs on meta tensors. Guarantees: one side is on the device at a time, so that a peak is its
own; both sides start with the same weights on the same batch, and their first losses are compared.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.agreement import copy_weights, same_loss, same_parameters
from benchmarks.speed.compiled import CompiledStep, Recipe, compile_recipe, recipe_text, trained_parameters
from benchmarks.speed.handwritten import HANDWRITTEN
from benchmarks.speed.handwritten.model import HandwrittenStep
from benchmarks.speed.machine import versions
from benchmarks.speed.size import SIZES, Size
from m3i_dsl.runtime.compiling import compile_blocks
from m3i_dsl.testing.batches import named_batch

CASES = ("supervised", "mae", "simmim", "siamese_im", "moco_v3", "clip", "m3i", "m3i_text")

VIEWS = {"siamese_im": 2, "moco_v3": 2, "m3i": 2, "m3i_text": 2}
"""Views of an image that a step is given, where it is more than one."""

TARGETS = {
    ("base", "m3i"): "MFU at least 45%",
    ("base", "mae"): "5,400 images/s or more",
    ("large", "moco_v3"): "1,070 views/s or more",
}

BF16_TOLERANCE = 2e-2
"""Of the first loss: both sides compute in bf16, in other orders."""

MATRIX = 8192


@dataclass(frozen=True, slots=True)
class Sides:
    """Both steps of a case, each of which comes to the device when it is made."""

    ours: Callable[[], CompiledStep]
    by_hand: Callable[[], HandwrittenStep]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of a step and bytes at its peak."""

    seconds: float
    peak: int


def table(options: argparse.Namespace) -> int:
    """Prints it. 0: every case ran. 1: one failed. 2: a name is none."""
    models = [name for name in options.model.split(",") if name]
    names = [name for name in options.only.split(",") if name] or list(CASES)
    for known, given in ((("base", "large"), models), (CASES, names)):
        if unknown := [name for name in given if name not in known]:
            print(f"error: there is no {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
    failed = 0
    for line in _lines(options, models, names):
        failed += line.startswith("failed")
        print(line, flush=True)
    return 1 if failed else 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of the table."""
    parser.add_argument("--model", default="base,large", help="default: base,large")
    parser.add_argument("--only", default="", metavar="NAME,..", help=f"of {', '.join(CASES)}")
    parser.add_argument("--batch", type=int, help="images in a step (default: 256 for ViT-B, 128 for ViT-L)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each side (default: 20)")
    parser.add_argument("--compile", action="store_true", help="torch.compile every transformer block, on both sides")


def _lines(options: argparse.Namespace, models: list[str], names: list[str]) -> Iterator[str]:
    """The table, row by row."""
    rate = 0.0 if options.dry_run else matrix_rate()
    if options.dry_run:
        yield "| model | case | trained parameters | GFLOP an image | encoder calls |"
        yield "| --- | --- | ---: | ---: | ---: |"
    else:
        yield f"{datetime.date.today().isoformat()}; {torch.cuda.get_device_name()}; {versions()}"
        yield f"\na matrix product of {MATRIX} in bf16: {rate / 1e12:.0f} TFLOP/s\n"
        yield "| model | case | batch | images/s | by hand | MFU | by hand | peak GiB | by hand | target |"
        yield "| --- | --- |" + " ---: |" * 7 + " --- |"
    for model in models:
        size = SIZES[model] if options.batch is None else replace(SIZES[model], batch=options.batch)
        for name in names:
            try:
                yield _dry(model, name, size) if options.dry_run else _row(model, name, size, rate, options)
            except Exception as problem:  # out of memory, say: the other cases go on
                yield f"failed: {model} {name}: {type(problem).__name__}: {str(problem).splitlines()[0]}"
            gc.collect()
            torch.cuda.empty_cache()


def _dry(model: str, name: str, size: Size) -> str:
    """One step of both sides on meta tensors."""
    recipe, sides = build(name, size, "meta")
    ours = sides.ours()
    ours.bare()
    sides.by_hand()()
    flops = count_flops(ours)
    calls = sum(
        node.op == "call_module" and str(node.target).startswith("encoders.")
        for node in recipe.executable.module.graph.nodes
    )
    parameters = trained_parameters(ours.module)
    return f"| {model} | {name} | {parameters:,} | {flops / size.batch / 1e9:.1f} | {calls} |"


def _row(model: str, name: str, size: Size, rate: float, options: argparse.Namespace) -> str:
    _, dry = build(name, size, "meta")
    flops = {"ours": count_flops(dry.ours()), "by hand": count_flops(dry.by_hand())}
    losses: dict[str, Tensor] = {}
    measured: dict[str, Measured] = {}
    for side in ("by hand", "ours"):
        _, sides = build(name, size, "cuda")
        step = sides.ours() if side == "ours" else sides.by_hand()
        if options.compile:
            compile_side(step)
        losses[side] = step()
        measured[side] = measure(step, options.steps)
        del sides, step
        gc.collect()
        torch.cuda.empty_cache()
    same_loss(f"{name} by hand", losses["by hand"], losses["ours"], BF16_TOLERANCE)
    measured = {side: measured[side] for side in ("ours", "by hand")}
    cells = [model, name, str(size.batch)]
    cells += [f"{size.batch / m.seconds:,.0f}" for m in measured.values()]
    cells += [f"{flops[side] / m.seconds / rate:.1%}" for side, m in measured.items()]
    cells += [f"{m.peak / 2**30:.1f}" for m in measured.values()]
    views = f"{VIEWS[name] * size.batch / measured['ours'].seconds:,.0f} views/s; " if name in VIEWS else ""
    return f"| {' | '.join([*cells, views + TARGETS.get((model, name), '')])} |"


def build(name: str, size: Size, device: str) -> tuple[Recipe, Sides]:
    """Both sides of a case on a device, with the same weights and batch. Raises Disagreement."""
    where = "meta" if device == "meta" else "cpu"
    recipe = compile_recipe(recipe_text(name), size, precision="bf16", device=where)
    batch = named_batch(recipe.executable, recipe.batch)
    hidden = int(batch["hidden"][0].sum()) if "hidden" in batch else 0
    with torch.device(where):
        model = HANDWRITTEN[name](size, hidden)
    copy_weights(model, recipe.executable.module)
    same_parameters(name, trained_parameters(model), trained_parameters(recipe.executable.module))
    context = partial(torch.autocast, device, dtype=torch.bfloat16) if device == "cuda" else nullcontext
    return recipe, Sides(
        lambda: CompiledStep(recipe.executable, recipe.batch, device),
        lambda: HandwrittenStep(model, batch, device=device, context=context),
    )


def count_flops(step: CompiledStep | HandwrittenStep) -> int:
    """FLOPs of the matrix products of a step, attention included, a multiplication and an addition being two."""
    counter = FlopCounterMode(display=False)
    with counter:
        if isinstance(step, CompiledStep):
            step.bare()
        else:
            step()
    return counter.get_total_flops()


def measure(step: Callable[[], object], steps: int) -> Measured:
    """The median of `steps` steps, each between two events on the device, after five that do not count."""
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times: list[float] = []
    for _ in range(steps):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return Measured(statistics.median(times), torch.cuda.max_memory_allocated())


def matrix_rate() -> float:
    """FLOP/s of a square matrix product in bf16."""
    a, b = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * MATRIX**3 / measure(lambda: a @ b, 20).seconds


def compile_side(step: CompiledStep | HandwrittenStep) -> int:
    """torch.compile for each transformer block of a side, the runner's way for ours. Gives their number."""
    if isinstance(step, CompiledStep):
        return len(compile_blocks(step.module, "on", torch.device("cuda")).blocks)
    blocks = [part for part in step.model.modules() if isinstance(part, Block)]
    for block in blocks:
        block.compile(fullgraph=True, dynamic=False)
    return len(blocks)
