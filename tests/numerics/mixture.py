"""M3I on a mixture of three sources: two have texts, two have categories, and only images are of all.

Takes: nothing. Gives: the recipe's program, small and in float64 (`case`), and what a step of it must yield
(`reference`), written out by hand: the rows of each field are lists of numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from m3i_dsl.driver import check_file
from m3i_dsl.lower.executable import Executable
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.testing.case import Case, case_of
from m3i_dsl.testing.comparison import buffers, gradients
from tests.numerics.by_hand import function
from tests.numerics.comparison import Result, parts_of
from tests.numerics.methods import Method
from tests.numerics.reference import m3i, plain

RECIPE = """
m3i 1
recipe mixed

data pairs  = folder("pairs", caption: true, category: false, canvas: 32px)
data photos = folder("photos", canvas: 32px)
data both   = embedded("digits")
data all    = mixture(both: 1, photos: 1, pairs: 1)

view view1 of all.image = crop(32px)
view view2 of all.image = crop(32px)

encoder image    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3)
encoder momentum = ema of image(0.99)
encoder words    = transformer(width: 36, layers: 1, heads: 3, context: 12)

objective m3i {
  input     mix(masked view1 of first, masked view1 of second, by: random(50%))
  represent dense feature of image

  target intra {
    data           view1 of first
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 3)
    regularization stop gradient
    distribution   gaussian
  }
  target inter {
    data           view2 of second
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 3, position: relative)
    regularization stop gradient
    distribution   gaussian
  }
  target category {
    data           category of first, category of second
    representation category embedding
    predictor      mlp
    regularization negative categories
    distribution   boltzmann
  }
  target caption {
    data           text of first, text of second
    representation text embedding of words
    predictor      linear
    regularization negative texts
    distribution   boltzmann(temperature: learned 0.07)
  }
  weighting likelihood
}

train {
  batch     48
  epochs    1
  optimizer adamw(lr: 1e-3)
}
"""

WITH_CATEGORY = [0, 1, 2, 3, 6, 7, 8, 9]
"""Of a batch of 12: two rows of each source in turn, twice; the third source has none."""

WITH_TEXT = [0, 1, 4, 5, 6, 7, 10, 11]
"""The second source has none."""


def program(text: str = RECIPE) -> Program:
    """The checked recipe."""
    return check_file(SourceFile("mixed.m3i", text)).required()


def case() -> Case:
    """The recipe with a batch of 12."""
    return case_of(program())


def reference(executable: Executable, batch: Mapping[str, Tensor]) -> Result:
    """One step by hand, on a copy of the modules."""
    module = copy.deepcopy(executable.module)
    total, losses = _step(module, executable.program, batch)
    total.backward()
    each = {f"m3i.{name}": value.detach() for name, value in losses.items()}
    return Result(total.detach(), each, gradients(module), buffers(module))


def _step(module: nn.Module, of: Program, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    parts = parts_of(module, of, Method("m3i", 0, constants={"symmetric": False, "temperature": 1.0}))
    images = {
        "view1": batch["view1"],
        "view2": batch["view2"],
        "hidden": batch["view1_mask"],
        "geometry1": batch["view1_geometry"],
        "geometry2": batch["view2_geometry"],
    }
    kept = copy.copy(parts)
    kept.log_inverse_temperature = None  # of the categories, 1
    category, caption = (function(module.get_submodule(f"predictors.m3i_{n}")) for n in ("category", "caption"))
    prefix = parts.vit.num_prefix_tokens
    dense, own = m3i.dense(parts, images)
    pooled = [tokens[:, prefix:].mean(dim=1) for tokens in own]
    labels, tokens = batch["all_category"], batch["all_text"]
    texts = plain.l2(parts.text_projection(parts.text(tokens)))
    scale = plain.inverse_temperature(parts)

    def chosen(predicted: Tensor, candidates: Tensor, captions: Tensor) -> Tensor:
        return plain.choose_text(plain.l2(predicted), candidates, captions, scale, symmetric=False)

    losses = {
        "intra": dense[0],
        "inter": dense[1],
        "category": plain.choose_category(category(pooled[0][WITH_CATEGORY]), kept, labels) / 2
        + plain.choose_category(category(pooled[1][WITH_CATEGORY]), kept, plain.partner(labels)) / 2,
        "caption": chosen(caption(pooled[0][WITH_TEXT]), texts, tokens) / 2
        + chosen(caption(pooled[1][WITH_TEXT]), plain.partner(texts), plain.partner(tokens)) / 2,
    }
    families = ["gaussian", "gaussian", "boltzmann", "boltzmann"]
    return plain.weigh(list(losses.values()), families, parts), losses
