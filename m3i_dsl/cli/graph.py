"""`m3ic graph RECIPE`: the recipe as a picture.

From data over views, masks and encoders to predictors, losses and their total: one colour for each branch, bars where
gradients stop, dashed arrows to averages. As SVG on standard output, or in the format that the name of `-o FILE` or
`--format` says: svg, mermaid (.mmd), dot (.gv), json. Needs no data and no torch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError, add_command, add_settings, add_stdin_name, read, report, settings
from m3i_dsl.cli.stages import add_stage, program_of, say_stage
from m3i_dsl.cli.streams import verbatim

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers

FORMATS = ("svg", "mermaid", "dot", "json")
"""Those of `drawing.FORMATS`, which is imported when the command runs."""


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "graph", "draw a recipe", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: standard output")
    parser.add_argument("--format", choices=FORMATS, help="default: by the name of FILE, else svg")
    add_stage(parser)
    add_stdin_name(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: drawn. 1: the recipe has errors."""
    from m3i_dsl.drawing import FORMATS as RENDERERS
    from m3i_dsl.drawing import draw
    from m3i_dsl.driver import check_file

    output: Path | None = arguments.output
    form = arguments.format or ("svg" if output is None else _format_of(output))
    checked = check_file(read(arguments.path, arguments.stdin_filename), settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    program = program_of(checked, arguments)
    if program is None:
        return 1
    say_stage(checked, arguments)
    text = RENDERERS[form](draw(program))
    if output is None:
        verbatim(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8", newline="\n")
    except OSError as fault:
        raise CliError(f"`{output}` cannot be written: {fault.strerror}") from None
    return 0


def _format_of(path: Path) -> str:
    """The format that the name of a file says. Raises CliError."""
    from m3i_dsl.drawing import EXTENSIONS

    form = EXTENSIONS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(f"`{extension}`" for extension in EXTENSIONS)
        raise CliError(f"`{path}` does not say its format; end it with one of {known}, or give `--format`")
    return form
