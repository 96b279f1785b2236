"""`m3ic export [RUN]`: writes a trained encoder in a form that other tools load.

Takes: a run (the last one started by default), an encoder and a format. Gives: a folder, whose path is the one line on
standard output. Guarantees: exit code 0 when the format's own tool loaded the folder with the same features, else 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.eval import add_run
from m3i_dsl.cli.options import add_command
from m3i_dsl.front.exporting import FORMATS
from m3i_dsl.front.opening import run_folder_of

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers


DESCRIPTION = """\
Writes the encoder of a run as a folder that timm loads, after timm has loaded it and computed the same features.
Prints the folder. Mask tokens, predictors and other encoders are left out, and named.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "export", "write a trained encoder for other tools", DESCRIPTION)
    add_run(parser)
    parser.add_argument("--format", choices=FORMATS, default="timm")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: RUN/timm-ENCODER")
    parser.add_argument("--force", action="store_true", help="replace an earlier export")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from m3i_dsl.runtime.faults import TrainingFault

    try:
        return _export(arguments)
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
    except OSError as problem:
        print(f"error: the export cannot be written: {problem}", file=sys.stderr)
    return 1


def _export(arguments: argparse.Namespace) -> int:
    from m3i_dsl.front.exporting import export

    folder = export(
        run_folder_of(arguments.run, arguments.stage),
        arguments.output,
        format=arguments.format,
        encoder=arguments.encoder,
        force=arguments.force,
        device=arguments.device,
    ).folder
    print(folder)
    return 0
