"""A recipe and a part that it uses, as an editor has them open."""

from __future__ import annotations

from pathlib import Path

from m3i_dsl.lsp.recipes import Recipes

RECIPE = """\
m3i 1
recipe small

use "parts.m3i"

param epochs = 2

view view1 of digits.image = crop(size, scale: 70%..100%)
view view2 of digits.image = crop(size)

encoder image    = timm("resnet10t", image: size, stride: 8px)
encoder momentum = ema of image(0.99 -> 1 cosine)

objective first {
  input     view1
  represent dense feature of image

  target global {
    data           view2
    representation global feature of momentum
    predictor      mlp(layers: 2)
    regularization stop gradient + negative samples
    distribution   boltzmann(temperature: 0.2)
  }
}

train {
  batch     64
  epochs    epochs
  optimizer adamw(lr: 1e-3)
}
"""

PARTS = """\
m3i 1

param size = 32px

data digits = embedded("digits")
"""

MAIN = "/recipes/small.m3i"
USED = "/recipes/parts.m3i"


def opened(text: str = RECIPE, parts: str = PARTS) -> Recipes:
    """Both files, open and unsaved: nothing of them is on disk."""
    assert not Path(USED).exists()
    recipes = Recipes()
    recipes.put(MAIN, text)
    recipes.put(USED, parts)
    return recipes
