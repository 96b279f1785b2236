"""CLIP (Radford et al. 2021): image and caption find each other among the batch."""

from __future__ import annotations

from torch import Tensor

from tests.numerics.reference.plain import Batch, Parts, choose_text, gap, inverse_temperature, l2, vit_tokens


def loss(parts: Parts, batch: Batch) -> Tensor:
    """Cross-entropy over texts or, with `parts.symmetric`, the mean of both directions."""
    whole = getattr(parts, "pool", "mean") == "class"  # CLIP's class token, or the mean of M3I's table
    pooled = vit_tokens(parts.vit, batch["view1"])[:, 0] if whole else gap(parts.vit, batch["view1"])
    image = l2(parts.predictor(pooled))
    text = l2(parts.text_projection(parts.text(batch["tokens"])))
    return choose_text(image, text, batch["tokens"], inverse_temperature(parts), parts.symmetric)
