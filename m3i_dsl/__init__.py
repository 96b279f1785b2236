"""m3ic: a compiler from pre-training recipes to trained and evaluated encoders.

    import m3i_dsl as m3i

    recipe = m3i.read("mae.m3i", settings={"epochs": 20})
    run = recipe.compile().train()
    features = run.encoder().features(images)

`__all__` is what is promised: these names, their signatures and what their docstrings say. What each needs is imported
when it is first asked for, so that reading and checking a recipe never imports torch. Each phase of the compiler has a
folder of its own, in the order in which `driver.py` calls them; README.md has the table.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m3i_dsl.diagnostics import RecipeError
    from m3i_dsl.front.compiled import Compiled
    from m3i_dsl.front.recipe import Recipe, parse, read
    from m3i_dsl.front.run import Results, Run, run
    from m3i_dsl.front.shown import Picture, Table

__version__ = "0.1.0"

__all__ = [
    "Compiled",
    "Picture",
    "Recipe",
    "RecipeError",
    "Results",
    "Run",
    "Table",
    "__version__",
    "parse",
    "read",
    "run",
]

_HOME = {
    "Compiled": "front.compiled",
    "Picture": "front.shown",
    "Recipe": "front.recipe",
    "RecipeError": "diagnostics",
    "Results": "front.run",
    "Run": "front.run",
    "Table": "front.shown",
    "parse": "front.recipe",
    "read": "front.recipe",
    "run": "front.run",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module `m3i_dsl` has no attribute `{name}`")
    return getattr(import_module(f"m3i_dsl.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
