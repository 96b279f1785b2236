"""Hypothesis strategies for recipes that are right: masks, views, objectives, whole recipes.

Takes: nothing, or what the parts must fit. Gives: strategies of recipe text. Guarantees: what `recipes` and
`objectives` draw passes `m3ic check`; every row shape of the vocabulary can come; they shrink towards one objective
with one plain target, few tokens, and no optional argument.

Needs hypothesis, which the extra `testing` installs.
"""

import importlib.util

if importlib.util.find_spec("hypothesis") is None:
    raise ModuleNotFoundError(
        "m3i_dsl.testing.strategies needs hypothesis: pip install 'm3ic[testing]'", name="hypothesis"
    )

from m3i_dsl.testing.strategies.masks import masks
from m3i_dsl.testing.strategies.objectives import ObjectiveText, objectives
from m3i_dsl.testing.strategies.recipes import programs, recipes
from m3i_dsl.testing.strategies.views import views

__all__ = ["ObjectiveText", "masks", "objectives", "programs", "recipes", "views"]
