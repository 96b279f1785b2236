"""What is right or wrong on a device: each function is one check.

Takes: the device, `cuda` or, to try the check itself, `cpu`. Gives: what was found, as plain values. Guarantees: raises
AssertionError where something is wrong; takes under a minute on a GPU; writes only to a temporary folder.
"""

from __future__ import annotations

import copy
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from benchmarks.gpu.job import RECIPES, differing, job, state
from benchmarks.speed.machine import versions
from m3i_dsl.collectives.sharded import whole
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.plan import peak_of
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.wrapping import shard
from m3i_dsl.runtime.interfaces import Batch
from m3i_dsl.runtime.kernels import Kernels
from m3i_dsl.runtime.precision import has_bf16
from m3i_dsl.vocabulary.values import Duration

Found = dict[str, object]

BF16 = 2e-2
"""Of a loss: bf16 has 8 bits, and sums of many roundings partly cancel."""

TRAINED = ("mae", "m3i_digits", "dino", "clip", "barlow_twins")
BAD = 7


def machine(device: str) -> Found:
    """Versions, whether bf16 is computed, how float32 products round, and the peak that MFU is measured against."""
    found: Found = {"versions": versions(), "bf16": has_bf16(torch.device(device))}
    if device == "cuda":
        name = torch.cuda.get_device_name()
        found |= {"name": name, "capability": str(torch.cuda.get_device_capability()), "peak": peak_of(name, "bf16")}
        assert found["bf16"] and found["peak"], "the device is not known, or has no bf16"
    return found


def training(device: str) -> Found:
    """Recipes train in bf16: every loss is finite, and as those of a CPU in float32 within what bf16 rounds."""
    steps = 20 if device == "cuda" else 2
    found: Found = {}
    for name in TRAINED if device == "cuda" else TRAINED[:1]:
        losses: dict[str, list[float]] = {}
        for where, precision in ((device, "bf16"), ("cpu", "fp32")):
            with folder() as path:
                # On a GPU all steps, beside the first three of a CPU: later ones drift apart by rounding.
                length = steps if where == "cuda" else min(steps, 3)
                losses[precision] = job(name, where, precision=precision).train(path, max_steps=length, compile="off")
        narrow, exact = losses["bf16"], losses["fp32"]
        assert all(map(_finite, narrow)), f"{name}: {narrow}"
        worst = max(abs(a - b) / abs(b) for a, b in zip(narrow, exact, strict=False))
        assert worst < BF16, f"{name}: {narrow[:3]} beside {exact} of a CPU"
        found[name] = {"first": narrow[0], "last": narrow[-1], "beside a CPU": worst}
    return found


def no_sync(device: str) -> Found:
    """Steps 2 to 8 from a real stream with two workers wait for nothing."""
    watched: list[int] = []

    def watch(step: int, batch: Batch) -> Batch:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error" if 2 <= step < 8 else "default")
        watched.append(step)
        return batch

    with folder() as path:
        trained = job("m3i_digits" if device == "cuda" else "mae", device, precision="bf16", workers=2, watch=watch)
        trained.train(path, max_steps=10, log_every=10, checkpoint_every=Duration(10, "steps"))
    assert watched == list(range(10))
    return {"steps": len(watched)}


def non_finite(device: str) -> Found:
    """A number that is not finite at step 8, read at step 10: everything is as after step 7, and step 8 is named."""

    def poisoned(step: int, batch: Batch) -> Batch:
        if step != BAD:
            return batch
        return {name: value * float("nan") if value.is_floating_point() else value for name, value in batch.items()}

    found: Found = {}
    for name in ("m3i_digits", "dino", "barlow_twins") if device == "cuda" else ("mae",):
        exact = Kernels(deterministic=True)
        with folder() as path:
            bad = job(name, device, watch=poisoned)
            try:
                bad.train(path, max_steps=20, log_every=10, kernels=exact, compile="off")
            except RecipeError as error:
                message = error.diagnostics[0].message
            else:
                raise AssertionError(f"{name}: a step that is not finite was not noticed")
        assert str(BAD + 1) in message, f"{name}: {message}"
        with folder() as path:
            good = job(name, device)
            good.train(path, max_steps=BAD, log_every=10, kernels=exact, compile="off")
        moved = differing(state(good.executable), state(bad.executable))
        assert not moved, f"{name}: {moved[0]} is not as after step {BAD}"
        found[name] = message
    return found


def compiling(device: str) -> Found:
    """Compiled blocks compute as eager ones; blocks of all rates of stochastic depth share their graphs."""
    found: Found = {}
    # A CPU takes minutes to compile what a GPU takes seconds for: there the check runs as it is written, uncompiled.
    on_a_gpu = device == "cuda"
    stance = "default" if on_a_gpu else "force_eager"
    for name in ("m3i_digits", "siamese_im", "dino") if on_a_gpu else ("mae",):
        losses: dict[str, list[float]] = {}
        for mode in ("off", "on"):
            torch.compiler.reset()
            begun = time.perf_counter()
            with folder() as path, torch.compiler.set_stance(stance):
                length = 5 if on_a_gpu else 1
                losses[mode] = job(name, device, precision="bf16").train(path, max_steps=length, compile=mode)
            found[f"{name}, {mode}: s"] = round(time.perf_counter() - begun, 1)
        worst = max(abs(a - b) / abs(b) for a, b in zip(losses["on"], losses["off"], strict=True))
        assert worst < BF16, f"{name}: {losses}"
        found[name] = worst
    text = (RECIPES / "dino.m3i").read_text(encoding="utf-8").replace("heads: heads,", "heads: heads, drop_path: 30%,")
    graphs = [_graphs(text, depth, device) for depth in ((4, 8) if on_a_gpu else ())]
    assert len(set(graphs)) <= 1, f"graphs at depth 4 and 8: {graphs}"
    return found | {"graphs": graphs}


def _graphs(text: str, depth: int, device: str) -> int:
    import torch._dynamo.utils as dynamo

    torch.compiler.reset()
    dynamo.counters.clear()
    with folder() as path:
        deep = text.replace("param depth = 4", f"param depth = {depth}")
        losses = job("dino", device, precision="bf16", text=deep).train(path, max_steps=2, compile="on")
    assert all(map(_finite, losses))
    return int(dynamo.counters["stats"]["unique_graphs"])


def saving(device: str) -> Found:
    """A checkpoint holds the live tensors to the bit; a run that SIGTERM stops and that goes on gives the same bits."""
    exact = {"kernels": Kernels(deterministic=True), "compile": "off", "log_every": 5}
    name = "m3i_digits" if device == "cuda" else "mae"

    def stopping(step: int, batch: Batch) -> Batch:
        if step == 6:
            signal.raise_signal(signal.SIGTERM)
        return batch

    with folder() as path:
        begun = time.perf_counter()
        job(name, device, watch=stopping).train(path / "run", max_steps=12, **exact)
        seconds = time.perf_counter() - begun
        resumed = job(name, device)
        resumed.train(path / "run", resume=True, max_steps=12, **exact)
        whole_run = job(name, device)
        whole_run.train(path / "whole", max_steps=12, **exact)
        live = state(resumed.executable)
        changed = differing(state(whole_run.executable), live)
        assert not changed, f"{changed[0]} is another one after the resumed run"
        checkpoint, _ = CheckpointStore(path / "run" / "checkpoints", 2).newest()
        assert checkpoint is not None and checkpoint.step == 12
        places = {f"weights/{key}": torch.empty_like(tensor) for key, tensor in live.items()}
        checkpoint.read(places)
        wrong = [key for key, tensor in live.items() if not torch.equal(places[f"weights/{key}"], tensor)]
        assert not wrong, f"{wrong[0]} in the checkpoint is not the live one"
    return {"seconds with one save": round(seconds, 1)}


def one_process_of_nccl(device: str) -> Found:
    """FSDP2 on one rank: the loss and the gradients of the unsharded module."""
    with folder() as path, _group(device, path):
        plain = job("m3i_digits", device)
        batch = next(iter(plain.stream.batches(0, 1)))
        where = torch.device(device)
        module, averages = copy.deepcopy((plain.executable.module, plain.executable.averages))
        module.to(where).train()
        shard(module, averages, init_device_mesh(device, (1,), mesh_dim_names=("shard",)), low_precision=False)
        expected = plain.executable.module.to(where).train()
        losses = []
        for side in (expected, module):
            torch.manual_seed(0)
            loss = side(**batch)["loss"]
            loss.backward()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) <= 1e-4 * abs(losses[0]), losses
        for (name, one), (same, other) in zip(expected.named_parameters(), module.named_parameters(), strict=True):
            if one.grad is not None:
                assert name == same and other.grad is not None, name
                torch.testing.assert_close(whole(other.grad), one.grad, rtol=1e-3, atol=1e-5)
    return {"loss": losses[1]}


@contextmanager
def _group(device: str, path: Path) -> Generator[None]:
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.FileStore(str(path.with_name("store")), 1), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def folder() -> Generator[Path]:
    """A folder that does not exist yet, in a temporary one: runs leave a pointer beside theirs."""
    with TemporaryDirectory() as name:
        yield Path(name) / "run"


def _finite(value: float) -> bool:
    return value - value == 0


CHECKS = (machine, training, no_sync, non_finite, compiling, saving, one_process_of_nccl)
