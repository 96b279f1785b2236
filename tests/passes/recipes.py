"""Recipes in which something could go wrong: equal calls at two depths, random calls, a target that is trained too."""

from __future__ import annotations

_TRAIN = """
train {
  batch     128
  epochs    1
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}
evaluate {
  knn at end
}
"""

_TARGET = """
  target {name} {{
    data           {data}
    representation {representation}
    predictor      decoder(layers: 1, heads: 3{position})
    regularization stop gradient
    distribution   gaussian
  }}
"""


def _target(name: str, data: str, representation: str, position: str = "") -> str:
    return _TARGET.format(name=name, data=data, representation=representation, position=position)


TWO_DEPTHS = f"""m3i 1
recipe two_depths
use "data.m3i"
use "encoders.m3i"
objective two_depths {{
  input     masked view1 by blocks(60%, minimum: 4)
  represent dense feature of image
{_target("feature", "view1", "dense feature of momentum")}
{_target("blocks", "view1", "dense feature(layers: 2) of momentum")}
}}
{_TRAIN}"""
"""Two targets of one view: the features, and the mean of the last two blocks."""

_NOISY = (
    'encoder noisy  = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, '
    "depth: 2, heads: 3, drop_path: 50%)"
)

STOCHASTIC = f"""m3i 1
recipe stochastic
use "data.m3i"
{_NOISY}
encoder target = ema of noisy(0.99)
objective stochastic {{
  input     view1
  represent dense feature of noisy
{_target("own", "view1", "dense feature of target")}
{_target("other", "view2", "dense feature of target", ", position: relative")}
}}
{_TRAIN}"""
"""Stochastic depth; the average, a copy, drops nothing."""

SIAMESE = (
    """m3i 1
recipe siamese
use "data.m3i"
use "encoders.m3i"
objective siamese {
  input     view1
  represent dense feature of image
  target other {
    data           view2
    representation global feature of image
    predictor      mlp(layers: 2)
    regularization stop gradient
    distribution   gaussian(reduction: sum)
  }
}
"""
    + _TRAIN
)
"""SimSiam: the target is made by the encoder that is trained, so that its stop gradient matters."""

DRAWN_TWICE = SIAMESE.replace('use "encoders.m3i"', _NOISY).replace("of image", "of noisy")
"""One encoder that draws random numbers, on two views."""
