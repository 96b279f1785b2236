"""`m3ic lsp`: the language server, for editors, on standard input and output.

It shows while one types what `m3ic check` says, offers its fixes, completes words, arguments and names, tells of each
default where it comes from, finds and renames names across used files, and formats. docs/editors.md has the setting of
each editor. `--tcp PORT` listens on a port of this machine instead.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError, add_command

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "lsp", "serve an editor", __doc__ or "")
    parser.add_argument("--stdio", action="store_true", help="standard input and output, which is what is done anyway")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="listen on this port of 127.0.0.1")


def run(arguments: argparse.Namespace) -> int:
    """0: the editor has ended it. Does not return before."""
    from m3i_dsl.lsp.server import server

    if arguments.tcp is None:
        # A copy, for pygls closes it at the end; and whatever a word of a package prints is no message.
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as output, contextlib.redirect_stdout(sys.stderr):
            server().start_io(stdout=output)
    elif arguments.stdio:
        raise CliError("`--stdio` and `--tcp` are two ways: name one")
    elif not 0 < arguments.tcp < 65536:
        raise CliError(f"--tcp: {arguments.tcp} is no port: 1 to 65535")
    else:
        server().start_tcp("127.0.0.1", arguments.tcp)
    return 0
