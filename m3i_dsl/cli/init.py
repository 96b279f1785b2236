"""`m3ic init [RECIPE] [-o FOLDER]`: a shipped recipe, with the files that it uses, to start from.

Without RECIPE the recipes are listed, each with where its method comes from. With it they are copied, the paths of what
was written are printed, and then the commands to go on with. A file that is there and differs is never overwritten.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import CliError, add_command

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "init", "start from a recipe that comes with m3ic", __doc__ or "")
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="its name, such as mae; left out, all are listed")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="where to (default: here)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0: listed or written. 2: no such recipe, or a file is in the way."""
    from m3i_dsl.scaffold import shipped

    if arguments.recipe is None:
        if arguments.output is not None:
            raise CliError("name the recipe to write; `m3ic init` lists them")
        _list(arguments.json)
        return 0
    recipe = shipped.named(arguments.recipe)
    files = shipped.texts(recipe)
    into = arguments.output or Path()
    written = shipped.write(files, into)
    main = into / next(iter(files))
    if arguments.json:
        print(json.dumps({"recipe": str(main), "written": [str(path) for path in written]}))
        return 0
    for path in written:
        print(path)
    if not written:
        print(f"{main} and all that it uses are there already", file=sys.stderr)
    print(f"next: m3ic compile {shlex.quote(str(main))} && m3ic train", file=sys.stderr)
    return 0


def _list(as_json: bool) -> None:
    from m3i_dsl.scaffold import shipped

    recipes = shipped.shipped()
    if as_json:
        print(json.dumps([{"name": recipe.name, "source": recipe.source} for recipe in recipes], indent=2))
        return
    width = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        print(f"{recipe.name:<{width}}  {recipe.source}".rstrip())
