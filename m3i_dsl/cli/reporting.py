"""What `m3ic train` reports, from its flags.

Takes: `--log-to`, the compiled program and the device. Gives: `Reporting`. Guarantees: a tool that is asked for and not
installed is wrong use, told before anything is opened; FLOPs are counted by the compiler, and only where the peak of
the device is known.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError

if TYPE_CHECKING:
    import torch

    from m3i_dsl.lower.executable import Executable
    from m3i_dsl.runtime.reporting.resources import Arithmetic
    from m3i_dsl.runtime.reporting.settings import Reporting


def add_log_to(parser: argparse.ArgumentParser) -> None:
    """`--log-to tensorboard,wandb,mlflow`."""
    parser.add_argument(
        "--log-to",
        type=_sinks,
        metavar="TOOL,...",
        help="also record in tensorboard, wandb, mlflow, or `none` (default: tensorboard if it is installed)",
    )


def check_installed(arguments: argparse.Namespace) -> None:
    """Raises CliError with the line that installs what `--log-to` names."""
    from m3i_dsl.runtime.reporting.sinks.fan import missing

    if absent := missing(arguments.log_to or ()):
        named = " and ".join(f"`{name}`" for name in absent)
        verb = "is" if len(absent) == 1 else "are"
        raise CliError(f"--log-to: {named} {verb} not installed; run `pip install {' '.join(absent)}`")


def reporting_of(arguments: argparse.Namespace, executable: Executable, device: torch.device) -> Reporting:
    """The settings of the report of a run of `executable`."""
    from m3i_dsl.runtime.reporting.settings import Reporting

    return Reporting(sinks=arguments.log_to, arithmetic=_arithmetic(executable, device), workers=arguments.workers)


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


def _sinks(text: str) -> tuple[str, ...]:
    from m3i_dsl.runtime.reporting.sinks.fan import SINKS

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in SINKS:
            raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(SINKS)}, or `none`")
    return names
