"""torch.compile, one transformer block at a time.

Takes: a module on its training device, before its first step. Gives: the same module, whose transformer blocks are
compiled in place when they are first called. Guarantees: one graph for each shape and mode, shared by blocks of the
same code and never broken (`fullgraph`) nor of dynamic shape; state-dict names, deep copies and pickles are those of
the eager module; nothing falls back to eager computation without saying so.

Blocks and not the whole step: all blocks of an encoder share one compilation, so that a deep model compiles as fast as
a shallow one, and everything of the recipe's own stays where failures can be located in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from m3i_dsl.modules.blocks import Block
from m3i_dsl.modules.predictors.decoder import PromptingDecoderHead
from m3i_dsl.runtime.faults import CANNOT_COMPILE, TrainingFault

CompileMode = Literal["on", "off", "auto"]
Backend = str | Callable[..., Any]

GRAPHS = 64
"""How many graphs blocks of the same code may need: shapes x (with gradient, without).

torch's own limit of 8 is one for all encoders, decoders and views of a recipe together, and to reach it is an error
here.
"""


def transformer_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of timm's ViTs, and those of decoders, projectors and text encoders, each once.

    A prompting decoder is left out: it uses its blocks in parts (`Block.update`), not by calling them.
    """
    left_out = {
        part for decoder in module.modules() if isinstance(decoder, PromptingDecoderHead) for part in decoder.blocks
    }
    for part in module.modules():
        if isinstance(part, VisionTransformer):
            yield from part.blocks.children()
        elif isinstance(part, Block) and part not in left_out:
            yield part


@dataclass(slots=True)
class Compilation:
    """Which blocks are compiled (`blocks`), and what to tell about it (`remark`)."""

    mode: CompileMode
    blocks: tuple[nn.Module, ...] = ()
    remark: str | None = None

    def give_up(self, problem: BaseException) -> str:
        """Makes every block eager again. Gives a remark; raises TrainingFault (M3I0715) when the mode is `on`."""
        reason = _reason(problem)
        for block in self.blocks:
            block._compiled_call_impl = None  # pyright: ignore[reportPrivateUsage]  # as torch does to undo it
        self.blocks = ()
        if self.mode == "on":
            raise _cannot(f"torch cannot compile this recipe: {reason}") from problem
        return f"torch cannot compile this recipe ({reason}): computing without compilation"


def compile_blocks(
    module: nn.Module, mode: CompileMode, device: torch.device, backend: Backend = "inductor", *, local_size: int = 1
) -> Compilation:
    """`auto` compiles on a GPU only: on a CPU the blocks are matrix products, which gain nothing.

    `local_size` processes of this machine compile at the same time and share its cores.

    Raises TrainingFault (M3I0715) when the mode is `on` and there is no block.
    """
    if mode == "off" or (mode == "auto" and device.type != "cuda"):
        return Compilation(mode)
    blocks = tuple(transformer_blocks(module))
    if not blocks:
        if mode == "on":
            raise _cannot("there is no transformer block in this recipe that could be compiled")
        return Compilation(mode, remark="no transformer block to compile: computing without compilation")
    import torch._dynamo  # takes a second, and only a compiled run needs it

    limits: Any = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, GRAPHS)
    # DistributedDataParallel exchanges a bucket while the next is computed. Within a block there is nothing to gain.
    limits.optimize_ddp = False
    if backend == "inductor":
        share_cores(local_size)
    for block in blocks:
        block.compile(fullgraph=True, dynamic=False, backend=backend)
    return Compilation(mode, blocks, f"compiling {len(blocks)} transformer blocks: the first step takes longer")


def share_cores(local_size: int) -> None:
    """torch would start as many compiling processes as there are cores, up to 32, for each process of a run."""
    import torch._inductor.config as inductor

    inductor.compile_threads = max(1, min(inductor.compile_threads or 1, (os.cpu_count() or 1) // local_size))


def compile_errors() -> tuple[type[BaseException], ...]:
    """What a call of a compiled block raises when the compiler, and not the computation, has failed."""
    from torch._dynamo import exc

    named = ("TorchDynamoException", "FailOnRecompileLimitHit", "TritonUnavailableError")  # the last is newer than 2.11
    return tuple(getattr(exc, name) for name in named if hasattr(exc, name))


@contextmanager
def eager() -> Generator[None]:
    """Computes compiled blocks as they are written: evaluations have other shapes, each of which would be a graph."""
    with torch.compiler.set_stance("force_eager"):
        yield


def _cannot(message: str) -> TrainingFault:
    return TrainingFault(CANNOT_COMPILE, message, helps=("use `--compile off`, or `--compile auto` to go on without",))


def _reason(problem: BaseException) -> str:
    """The first line that says something; that of the backend's own error where torch has wrapped one."""
    inner = getattr(problem, "inner_exception", problem)
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(inner).__name__
