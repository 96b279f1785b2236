"""Which kernels torch may choose on a GPU: how exact, how repeatable, in which layout.

Takes: what is asked for, a module, its device. Gives: torch's settings, made explicit, and `circumstances`, which the
run records and a resumed one compares. Guarantees: nothing is left to what torch or an environment happens to default
to, as convolutions would round to TF32 where matrix products do not; the values of a module's state are untouched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from m3i_dsl.runtime.faults import LAUNCH, NOT_DETERMINISTIC, TrainingFault

Allocator = Literal["expandable", "torch"]
ChannelsLast = Literal["auto", "on", "off"]

_ALLOCATOR = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@dataclass(frozen=True, slots=True)
class Kernels:
    """`deterministic`: the same bits at each run on the same machine, by slower kernels; M3I0717 where there is none.

    `tf32`: float32 products and convolutions round their operands to 10 bits. `channels_last`: convolutions compute
    on [B, H, W, C]; `auto` is on a GPU without sharding. `cudnn_benchmark`: convolutions are timed at the first call
    of each shape; None is unless `deterministic`. `allocator`: `expandable` segments grow, where crops of many sizes
    would leave holes; `torch` is torch's own, or what the environment says.
    """

    deterministic: bool = False
    tf32: bool = False
    channels_last: ChannelsLast = "auto"
    cudnn_benchmark: bool | None = None
    allocator: Allocator = "expandable"

    def prepare(self) -> None:
        """What is read when CUDA starts: to be called before. What the environment says stays."""
        if self.allocator == "expandable" and not any(name in os.environ for name in _ALLOCATOR):
            os.environ[_ALLOCATOR[0]] = "expandable_segments:True"
        if self.deterministic:
            os.environ.setdefault(_WORKSPACE, ":4096:8")

    def check(self, *, sharded: bool) -> None:
        """Raises TrainingFault (M3I0730) for `channels_last` with sharded weights, which torch has not."""
        if self.channels_last == "on" and sharded:
            raise TrainingFault(
                LAUNCH,
                "`--channels-last on` needs whole weights, and `--shard` cuts them",
                helps=("leave one of them out",),
            )

    def apply(self, module: nn.Module, device: torch.device, *, sharded: bool) -> None:
        """Sets what torch chooses kernels by, and the layout of `module`, which is on its device.

        Raises TrainingFault as `check` does.
        """
        self.check(sharded=sharded)
        torch.use_deterministic_algorithms(self.deterministic)
        rounding = "tf32" if self.tf32 else "ieee"
        torch.backends.cuda.matmul.fp32_precision = rounding
        torch.backends.cudnn.conv.fp32_precision = rounding  # pyright: ignore[reportAttributeAccessIssue]
        torch.backends.cudnn.benchmark = self._benchmark
        if self.layout(module, device, sharded=sharded) == "channels last":
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def _benchmark(self) -> bool:
        return not self.deterministic if self.cudnn_benchmark is None else self.cudnn_benchmark

    def layout(self, module: nn.Module, device: torch.device, *, sharded: bool) -> str:
        """`channels last` or `channels first`, which is said of a module without convolutions as well."""
        wanted = self.channels_last == "on" or (self.channels_last == "auto" and device.type == "cuda" and not sharded)
        return "channels last" if wanted and any(map(_mixes_pixels, module.modules())) else "channels first"

    def circumstances(self, module: nn.Module, device: torch.device, *, sharded: bool) -> dict[str, str]:
        """What the bits depend on, in words; on a CPU there is one layout and one rounding."""
        found = {"deterministic": _switch(self.deterministic)}
        if device.type == "cuda":
            found |= {
                "tf32": _switch(self.tf32),
                "layout": self.layout(module, device, sharded=sharded),
                "cudnn benchmark": _switch(self._benchmark),
            }
        return found


def not_deterministic(problem: RuntimeError | MemoryError) -> TrainingFault | None:
    """M3I0717 for what torch raises where it has no deterministic kernel; nothing for another problem."""
    told = str(problem)
    if "use_deterministic_algorithms" not in told:
        return None
    return TrainingFault(
        NOT_DETERMINISTIC,
        "torch has no deterministic kernel for an operation of this recipe on this device",
        notes=(told.splitlines()[0],),
        helps=("train without `--deterministic`, or on a CPU",),
    )


def _mixes_pixels(part: nn.Module) -> bool:
    """Whether a part is a convolution whose windows overlap: embeddings of patches gain nothing from a layout."""
    return isinstance(part, nn.Conv2d) and part.kernel_size != part.stride and part.kernel_size != (1, 1)


def _switch(on: bool) -> str:
    return "on" if on else "off"
