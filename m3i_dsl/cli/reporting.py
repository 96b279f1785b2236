"""`--log-to`: where `m3ic train` records beside its own files.

Takes: the flag. Gives: the names of tools. Guarantees: a tool that is asked for and not installed is wrong use, told
before anything is opened.
"""

from __future__ import annotations

import argparse

from m3i_dsl.cli.options import CliError


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
        raise CliError(f'--log-to: {named} {verb} not installed; run `pip install "m3ic[{",".join(absent)}]"`')


def _sinks(text: str) -> tuple[str, ...]:
    from m3i_dsl.runtime.reporting.sinks.fan import SINKS

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in SINKS:
            raise argparse.ArgumentTypeError(f"`{name}` is none of {', '.join(SINKS)}, or `none`")
    return names
