"""A whole recipe of one masked objective that is right, and trains as long as is written."""

from __future__ import annotations

from m3i_dsl.source import SourceFile

RECIPE = """m3i 1
recipe masked
param a_tenth = 10%
data digits = embedded("digits")
view view1 of digits.image = crop(32px)
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)
objective o {
  input     masked view1 by random(75%)
  represent dense feature of image
  target pixels {
    data           view1
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3)
    regularization none
    distribution   gaussian
  }
}
train {
  batch     64
  LENGTH
  optimizer adamw(lr: 1e-3)
}
"""


def masked(length: str = "epochs 10, warmup a_tenth") -> SourceFile:
    """The recipe with a line that says how long it trains."""
    return SourceFile("masked.m3i", RECIPE.replace("LENGTH", length))
