"""`m3ic explain CODE`: what a message means, why it is an error, and how to fix it, with examples.

`--all` lists every code. With `--json`, both give the pages as JSON.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError, add_command, colored
from m3i_dsl.diagnostics import catalogue

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.diagnostics.catalogue import Page


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "explain", "say what a message means", __doc__ or "")
    parser.add_argument("code", nargs="?", metavar="CODE", help="a code such as M3I0011, or its name")
    parser.add_argument("--all", action="store_true", help="every code")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0: explained. 2: there is no such code."""
    if arguments.all == (arguments.code is not None):
        raise CliError("name one code, or ask for `--all`")
    if arguments.all:
        if arguments.json:
            print(json.dumps([_as_json(catalogue.page(code)) for code in catalogue.codes()], indent=2))
        else:
            for code in catalogue.codes().values():
                print(f"{code.code}  {code.name}: {code.title}")
        return 0
    page = catalogue.page(_find(arguments.code))
    if arguments.json:
        print(json.dumps(_as_json(page), indent=2))
    elif colored(arguments, sys.stdout):
        from rich.console import Console
        from rich.markdown import Markdown

        Console(force_terminal=True).print(Markdown(page.markdown))
    else:
        sys.stdout.write(page.markdown)
    return 0


def _find(text: str) -> str:
    """The code that is meant by its number, with or without `M3I`, or by its name."""
    codes = catalogue.codes()
    wanted = text.upper()
    if wanted.isdigit():
        wanted = f"M3I{wanted:0>4}"
    if wanted in codes:
        return wanted
    names = {code.name: code.code for code in codes.values()}
    if text.lower() in names:
        return names[text.lower()]
    near = difflib.get_close_matches(wanted, codes, n=1) or difflib.get_close_matches(text.lower(), names, n=1)
    raise CliError(
        f"there is no code `{text}`" + (f"; did you mean `{near[0]}`?" if near else "; `m3ic explain --all` lists them")
    )


def _as_json(page: Page) -> dict[str, str]:
    code = page.code
    return {"code": code.code, "name": code.name, "title": code.title, "markdown": page.markdown}
