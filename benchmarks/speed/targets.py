"""A recipe with K targets of one M3I input, all in the same view: what sharing can save most of.

Takes: K, from 1 to 4. Gives: the text. Guarantees: the first K targets of every text are the same.
"""

from __future__ import annotations

_HEAD = """m3i 1
recipe targets

use "common.m3i"

encoder image    = timm("vit_tiny_patch16_224", image: size, patch: patch, width: width, depth: depth, heads: heads)
encoder momentum = ema of image(0.996)

objective targets {
  input     mix(masked view1 of first, masked view1 of second, by: blocks(50%, minimum: 4))
  represent dense feature of image
"""

_TARGETS = {
    "dense": """
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: heads)
    regularization stop gradient
    distribution   gaussian""",
    "whole": """
    representation global feature of momentum
    predictor      mlp
    regularization stop gradient
    distribution   gaussian""",
    "instance": """
    representation global feature of momentum
    predictor      mlp
    regularization stop gradient + negative samples
    distribution   boltzmann(temperature: 0.2)""",
    "robust": """
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: heads)
    regularization stop gradient
    distribution   huber""",
}

NAMES = tuple(_TARGETS)

_TAIL = """}

train {
  batch     16
  epochs    10
  optimizer adamw(lr: 1e-4)
  schedule  constant
}
"""


def targets_text(count: int) -> str:
    """The recipe with the first `count` targets."""
    blocks = [
        f"\n  target {name} {{\n    data           view1 of first{_TARGETS[name]}\n  }}\n" for name in NAMES[:count]
    ]
    return _HEAD + "".join(blocks) + _TAIL
