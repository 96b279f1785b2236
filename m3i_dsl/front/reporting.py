"""What a training reports.

Takes: what is asked for, the compiled program and the device. Gives: `Reporting`. Guarantees: FLOPs are counted by the
compiler, and only where the peak of the device is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from m3i_dsl.front.request import TrainRequest
    from m3i_dsl.lower.executable import Executable
    from m3i_dsl.runtime.reporting.resources import Arithmetic
    from m3i_dsl.runtime.reporting.settings import Reporting


def reporting_of(request: TrainRequest, executable: Executable, device: torch.device) -> Reporting:
    """The settings of the report of a run of `executable`."""
    from m3i_dsl.runtime.reporting.settings import Reporting

    return Reporting(sinks=request.log_to, arithmetic=_arithmetic(executable, device), workers=request.workers)


def _arithmetic(executable: Executable, device: torch.device) -> Arithmetic | None:
    """None without a known peak: on a CPU, an unknown device, or with TF32, whose rate is a third one."""
    import torch

    from m3i_dsl.collectives import alone
    from m3i_dsl.plan import flops_per_sample, peak_of
    from m3i_dsl.runtime.precision import precision_for
    from m3i_dsl.runtime.reporting.resources import Arithmetic, name_of

    precision = precision_for(executable.program.training.precision, device).effective
    if device.type != "cuda" or (precision == "fp32" and torch.backends.cuda.matmul.fp32_precision == "tf32"):
        return None
    peak = peak_of(name_of(device), "bf16" if precision == "bf16" else "fp32")
    if peak is None:
        return None
    with alone():  # the count is of the whole batch, and its tensors have nothing to send
        return Arithmetic(flops_per_sample(executable), peak)
