"""The cell magic `%%m3i`: a recipe written in a notebook's cell is checked, shown and kept.

    %load_ext m3i_dsl.front.notebook

    %%m3i row
    m3i 1
    recipe row
    ...

Takes: the name of a variable (`recipe` when left out) and the text of the cell. Gives: the recipe in that variable, its
lints, and its picture; for a recipe with errors the diagnostics that `m3ic check` prints. Guarantees: paths in the
recipe start at the notebook's folder; a recipe with errors leaves the variable as it was.
"""

from __future__ import annotations

import sys
from typing import Any

from m3i_dsl.diagnostics import RecipeError, render
from m3i_dsl.front.recipe import Recipe, parse


def cell(line: str, text: str, variables: dict[str, Any]) -> Recipe | None:
    """What the magic does, without IPython: the recipe, or None after its diagnostics were written to stderr."""
    name = line.strip() or "recipe"
    if not name.isidentifier():
        print(f"`{name}` is no name of a variable; write `%%m3i recipe`", file=sys.stderr)
        return None
    try:
        recipe = parse(text)
    except RecipeError as fault:
        print(render(fault.diagnostics), file=sys.stderr, end="")
        return None
    sys.stderr.write(render(recipe.check()))
    variables[name] = recipe
    return recipe


def load_ipython_extension(shell: Any) -> None:
    """Registers `%%m3i`; IPython calls it for `%load_ext`."""

    def magic(line: str, text: str) -> Recipe | None:
        return cell(line, text, shell.user_ns)

    shell.register_magic_function(magic, "cell", "m3i")
