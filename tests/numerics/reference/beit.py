"""BEiT (Bao et al. 2022): a classifier over the codes of a frozen tokenizer, on hidden tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.numerics.reference.codes import codes
from tests.numerics.reference.plain import Batch, Parts, negative_log_softmax, patch_tokens, pick


def loss(parts: Parts, batch: Batch) -> Tensor:
    """The mean over hidden tokens of -log softmax(W x + b) at the code of the token of the whole image."""
    image, hidden = batch["view1"], batch["hidden"]
    with torch.no_grad():
        *heads, book = parts.average_parts
        z = patch_tokens(parts.average, image)
        for head in heads:
            z = head(z)
        labels = codes(book, z)[hidden]
    x = pick(patch_tokens(parts.vit, image, mask=hidden, mask_token=parts.mask_token), hidden).flatten(0, 1)
    logits = x @ parts.table.weight.T + parts.table.bias
    rows = [negative_log_softmax(row, int(label)) for row, label in zip(logits, labels, strict=True)]
    return torch.stack(rows).mean()
