"""`m3ic export [RUN]`: writes a trained encoder in a form that other tools load.

Takes: a run (the last one started by default), an encoder and a format. Gives: a folder, whose path is the one line on
standard output. Guarantees: exit code 0 when the format's own tool loaded the folder with the same features, else 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.eval import add_run, opened_run, say
from m3i_dsl.cli.options import add_command

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers

FORMATS = ("timm",)


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
    from m3i_dsl.evaluation.export import export_timm
    from m3i_dsl.evaluation.trained_run import backbone_of, measured_encoder

    trained = opened_run(arguments)
    encoder = measured_encoder(trained.program, arguments.encoder)
    backbone = backbone_of(trained, encoder)
    folder = arguments.output or trained.path / f"{arguments.format}-{encoder}"
    export = export_timm(backbone, folder, force=arguments.force)
    say(f"{backbone.architecture}, {export.parameters / 1e6:.2f} M parameters: {export.line}")
    if backbone.left_out:
        say(f"left out: {', '.join(backbone.left_out)}")
    print(export.folder)
    return 0
