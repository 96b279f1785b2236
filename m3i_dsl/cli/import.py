"""`m3ic import FILE --as MODEL -o FILE.safetensors`: a published checkpoint as weights that a recipe can name.

Takes: a file of `torch.save` and the timm model that it is of. Gives: a safetensors file with timm's names, whose path
is the one line on standard output. Guarantees: a recipe never unpickles anything, and neither does this.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers

DESCRIPTION = """\
Writes the weights of a published checkpoint (.pth, .bin, .safetensors) under the names that timm gives them, for the
argument `weights` of `timm(...)` or `frozen of ENCODER("FILE.safetensors")`. Names that the model has no place for are
left out, and named. Prints the file.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "import", "take over published weights", DESCRIPTION)
    parser.add_argument("file", type=Path, metavar="FILE", help="a state dict, as torch.save or safetensors wrote it")
    parser.add_argument("--as", dest="model", required=True, metavar="MODEL", help="its name in timm")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the safetensors file")
    parser.add_argument("--key", metavar="KEY", help="which state dict of the file: `teacher`, `state_dict`")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="what stands before its names: `backbone.`")
    parser.add_argument("--force", action="store_true", help="replace an earlier file")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    from m3i_dsl.front.importing import import_weights
    from m3i_dsl.runtime.faults import TrainingFault

    try:
        done = import_weights(
            arguments.file,
            arguments.model,
            arguments.output,
            key=arguments.key,
            prefix=arguments.prefix,
            force=arguments.force,
        )
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"error: the weights cannot be written: {problem}", file=sys.stderr)
        return 1
    print(done.file)
    return 0
