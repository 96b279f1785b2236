"""What each recipe must mean: its reference, its constants as published, and how its average moves.

Takes: nothing from the recipes. Gives: `METHODS`, one entry for each recipe below recipes/. Guarantees: the constants
are written here a second time on purpose, so that a changed recipe or a word that lost an argument disagrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.numerics.updates import Update, drop, half_cosine, steady

Momentum = Callable[[float], float]
"""The momentum at a progress in [0, 1)."""


def constant(value: float) -> Momentum:
    return lambda _: value


def cosine(start: float) -> Momentum:
    """From `start` to 1 (BYOL, MoCo v3, SiameseIM)."""
    return lambda progress: 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2


def line(start: float, stop: float, share: float) -> Momentum:
    """Over the first `share` of training, then constant (data2vec)."""
    return lambda progress: start + (stop - start) * min(1.0, progress / share)


def warmed(start: float, stop: float, share: float) -> Callable[[int, int], float]:
    """At a step of so many: a line over the first `share` of training, in whole steps, then constant (DINO)."""
    return lambda step, total: start + (stop - start) * min(1.0, step / round(share * total))


@dataclass(frozen=True)
class Method:
    """`calls` is how often a step runs an encoder once equal calls are one; `weight` is that of a single target;
    `sharpness` the temperature of a target over prototypes at a step of so many; `held` for how many steps prototypes
    stay as they start.
    """

    reference: str
    calls: int
    momentum: Momentum | None = None
    constants: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weight: float = 1.0
    update: Update = field(default_factory=Update)
    sharpness: Callable[[int, int], float] | None = None
    held: int = 0


_SHARED = cosine(0.996)

_FD = Method(
    "fd",
    2,
    None,
    {"beta": 2.0},
    update=Update(shape=half_cosine(1, 0.0167), decayed="biases", betas=(0.9, 0.999), clip=3),
)
"""The last stage, which distils."""

_DINO = Update(
    shape=half_cosine(1, 0.002),
    decay=half_cosine(0.04, 0.4),
    decayed="tensors",
    betas=(0.9, 0.999),
    clip=3,
    per_tensor=True,
)
"""And iBOT's."""

METHODS: Mapping[str, Method] = {
    "barlow_twins": Method(
        "barlow_twins",
        2,
        None,
        {"decorrelation": 0.0051, "weight": 1 / 256},
        1 / 256,
        Update("lars", 2, half_cosine(1, 0.001), steady(1e-6), bias_lr=0.048, clip=None),
    ),
    "beit": Method("beit", 2, update=Update(shape=half_cosine(1, 0.007), decayed="biases", betas=(0.9, 0.98), clip=3)),
    "byol": Method("byol", 4, cosine(0.996), update=Update("lars", 2, decay=steady(1.5e-6), clip=None)),
    "clip": Method(
        "clip",
        2,
        None,
        {"symmetric": True, "pool": "class"},
        update=Update(decay=steady(0.2), decayed="tensors", betas=(0.9, 0.98), epsilon=1e-6, clip=None),
    ),
    "data2vec": Method(
        "data2vec",
        2,
        line(0.99, 0.999, 0.5),
        {"layers": 2, "beta": 2.0},
        update=Update(shape=half_cosine(1, 0.005), decayed="biases", betas=(0.9, 0.999), clip=3),
    ),
    "deit_iii": Method(
        "deit_iii", 1, update=Update("lamb", shape=half_cosine(1, 0.0033), betas=(0.9, 0.999), epsilon=1e-6)
    ),
    "densecl": Method(
        "densecl",
        2,
        constant(0.99),
        {"temperature": 0.2, "weights": (0.5, 0.5)},
        update=Update("sgd", 0.03, decay=steady(1e-4), decayed="all", clip=None),
    ),
    "dino": Method(
        "dino",
        8,
        cosine(0.996),
        {"temperature": 0.1},
        update=_DINO,
        sharpness=warmed(0.04, 0.07, 0.3),
        held=2,
    ),
    "dinov2": Method(
        "dinov2",
        8,
        cosine(0.992),
        {"temperature": 0.1},
        update=Update(
            shape=half_cosine(1, 0.001),
            decay=half_cosine(0.04, 0.4),
            decayed="tensors",
            betas=(0.9, 0.999),
            clip=3,
            layer_decay=0.9,
        ),
        sharpness=warmed(0.04, 0.07, 0.3),
        held=2,
    ),
    "ibot": Method(
        "ibot",
        8,
        cosine(0.996),
        {"temperature": 0.1},
        update=_DINO,
        sharpness=warmed(0.04, 0.07, 0.3),
        held=2,
    ),
    "fd": _FD,
    "fd_dino": _FD,
    "m3i": Method("m3i", 3, _SHARED, {"temperature": 1.0}),
    "m3i_digits": Method("m3i", 4, cosine(0.99), {"symmetric": False}, update=Update(lr=4e-3)),
    "m3i_no_mix": Method("m3i_no_mix", 3, _SHARED, {"temperature": 1.0}),
    "mae": Method("mae", 1, update=Update(decayed="tensors", clip=None)),
    "m3i_vitb_imagenet": Method("m3i", 3, cosine(0.995), {"temperature": 1.0}, update=Update(decayed="tensors")),
    "m3i_vitb_yfcc": Method("m3i", 4, cosine(0.995), {"symmetric": False}, update=Update(decayed="tensors")),
    "moco_v1": Method(
        "moco",
        2,
        constant(0.99),
        {"temperature": 0.07},
        update=Update("sgd", 0.03, drop(0.6, 0.1), steady(1e-4), decayed="all", clip=None),
    ),
    "moco_v2": Method(
        "moco",
        2,
        constant(0.99),
        {"temperature": 0.2},
        update=Update("sgd", 0.03, decay=steady(1e-4), decayed="all", clip=None),
    ),
    "moco_v3": Method(
        "moco_v3",
        4,
        cosine(0.99),
        {"temperature": 0.2},
        0.4,
        Update(decay=steady(0.1), decayed="all", betas=(0.9, 0.999), clip=None),
    ),
    "msn": Method(
        "msn",
        6,
        line(0.996, 0.9992, 1.0),
        update=Update(
            shape=half_cosine(1, 0.001),
            decay=half_cosine(0.04, 0.4),
            decayed="tensors",
            betas=(0.9, 0.999),
            clip=3,
            apart="prototypes.",
        ),
    ),
    "siamese_im": Method("siamese_im", 2, cosine(0.995), {"unigrad": 0.02}, update=Update(decayed="tensors")),
    "simclr": Method("simclr", 2, None, {"temperature": 0.1}, 2, Update("lars", 2, decay=steady(1e-4), clip=None)),
    "simmim": Method("simmim", 1, update=Update(shape=drop(0.873, 0.1), decayed="biases", betas=(0.9, 0.999), clip=5)),
    "supervised": Method(
        "supervised",
        1,
        None,
        {"temperature": 1.0, "label_smoothing": 0.1},
        update=Update(betas=(0.9, 0.999), clip=None),
    ),
    "vicreg": Method(
        "vicreg",
        2,
        None,
        {"weight": 1.0},
        update=Update("lars", 2, half_cosine(1, 0.001), steady(1e-6), clip=None),
    ),
    "vqkd": Method(
        "vqkd",
        2,
        weight=0.5,
        update=Update(shape=half_cosine(1, 0.01), decay=steady(1e-4), betas=(0.9, 0.99), clip=None),
    ),
    "table/01_image_classification": Method("image_classification", 1, None, {"temperature": 1.0}),
    "table/02_clip": Method("clip", 2, None, {"symmetric": True}),
    "table/03_auto_encoder": Method("auto_encoder", 1),
    "table/04_dense_distillation": Method("dense_distillation", 2, _SHARED),
    "table/05_global_distillation": Method("global_distillation", 2, _SHARED, {"temperature": 0.2}),
    "table/06_mim_pixel": Method("mim_pixel", 1),
    "table/07_mim_feature": Method("mim_feature", 2, _SHARED),
    "table/08_mim_global": Method("mim_global", 2, _SHARED),
    "table/09_novel_view_synthesis": Method("novel_view_synthesis", 1),
    "table/10_dense_instance_discrimination": Method(
        "dense_instance_discrimination", 2, _SHARED, {"temperature": 0.2, "tokens": 8}
    ),
    "table/11_instance_discrimination": Method("instance_discrimination", 2, _SHARED, {"temperature": 0.2}),
    "table/12_siamim_pixel": Method("siamim_pixel", 1),
    "table/13_siamim_feature": Method("siamim_feature", 2, _SHARED),
    "table/14_siamim_global": Method("siamim_global", 2, _SHARED, {"temperature": 0.2}),
}
