"""stable-pretraining: its method classes, with timm's ViT of the size asked for.

Its MoCo v3 has no batch norm behind the predictor, and its masks are its own draws of the same number of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from stable_pretraining import methods
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Handwritten, class_token, pooled, vit
from benchmarks.speed.size import Size


class Pooled(nn.Module):
    """The mean token of a ViT; resizes the trial image of 224 pixels with which the methods ask for the width."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size.size
        self.vit = vit(size)

    def forward(self, image: Tensor) -> Tensor:
        return pooled(self.vit, image if image.shape[-1] == self.size else F.interpolate(image, self.size))


class ClassToken(Pooled):
    """The class token instead of the mean."""

    def forward(self, image: Tensor) -> Tensor:
        return class_token(self.vit, image if image.shape[-1] == self.size else F.interpolate(image, self.size))


class _Method(Handwritten):
    """One of its modules; the loss is in what it returns."""

    def __init__(self, model: Any, *views: str) -> None:
        super().__init__()
        self.model = model
        self.views = views

    def forward(self, batch: Batch) -> Tensor:
        return self.model(*(batch[view] for view in self.views)).loss

    def move_averages(self) -> None:
        for name in ("backbone", "projector"):
            update = getattr(getattr(self.model, name, None), "update_teacher", None)
            if update is not None:
                update()


def mae(size: Size, hidden: int) -> Handwritten:
    model = methods.MAE(
        vit(size),
        decoder_embed_dim=size.decoder_width,
        decoder_depth=size.decoder_layers,
        decoder_num_heads=size.decoder_heads,
        mask_ratio=hidden / size.tokens,
    )
    return _Method(model, "view1")


def simmim(size: Size, hidden: int) -> Handwritten:
    model = methods.SimMIM(vit(size), size.patch, mask_ratio=hidden / size.tokens, image_size=size.size)
    return _Method(model, "view1")


def byol(size: Size, hidden: int) -> Handwritten:
    widths = (size.hidden, size.projection)
    return _Method(methods.BYOL(Pooled(size), widths, widths), "view1", "view2")


def barlow_twins(size: Size, hidden: int) -> Handwritten:
    return _Method(methods.BarlowTwins(Pooled(size), (size.correlated,) * 3), "view1", "view2")


def moco_v3(size: Size, hidden: int) -> Handwritten:
    widths = (size.hidden, size.hidden, size.projection)
    return _Method(methods.MoCov3(Pooled(size), widths, size.hidden), "view1", "view2")


class _Crops(_Method):
    """A method that takes a list of global views."""

    def forward(self, batch: Batch) -> Tensor:
        return self.model(global_views=[batch[view] for view in self.views]).loss


def dino(size: Size, hidden: int) -> Handwritten:
    model = methods.DINO(
        ClassToken(size),
        projector_hidden_dim=size.hidden,
        projector_bottleneck_dim=size.projection,
        n_prototypes=size.prototypes,
        temperature_teacher=0.04,
    )
    return _Crops(model, "view1", "view2")


MODELS: Mapping[str, Callable[[Size, int], Handwritten]] = {
    "mae": mae,
    "simmim": simmim,
    "byol": byol,
    "barlow_twins": barlow_twins,
    "moco_v3": moco_v3,
    "dino": dino,
}
