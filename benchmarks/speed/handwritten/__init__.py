"""Each method written by hand in PyTorch, as an engineer who cares about speed would: the side to be level with.

Every file has one `nn.Module` whose `forward(batch)` is the loss. They use timm's ViT and blocks, and import nothing of
the package; `model.py` has what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.speed.handwritten.barlow_twins import BarlowTwins
from benchmarks.speed.handwritten.byol import BYOL
from benchmarks.speed.handwritten.clip import CLIP
from benchmarks.speed.handwritten.dino import DINO
from benchmarks.speed.handwritten.m3i import M3I
from benchmarks.speed.handwritten.mae import MAE
from benchmarks.speed.handwritten.moco_v3 import MoCoV3
from benchmarks.speed.handwritten.model import Handwritten
from benchmarks.speed.handwritten.siamese_im import SiameseIM
from benchmarks.speed.handwritten.simmim import SimMIM
from benchmarks.speed.handwritten.supervised import Supervised
from benchmarks.speed.size import Size

HANDWRITTEN: Mapping[str, Callable[[Size, int], Handwritten]] = {
    "supervised": Supervised,
    "mae": MAE,
    "simmim": SimMIM,
    "siamese_im": SiameseIM,
    "moco_v3": MoCoV3,
    "byol": BYOL,
    "barlow_twins": BarlowTwins,
    "dino": DINO,
    "clip": CLIP,
    "m3i": M3I,
    "m3i_text": lambda size, hidden: M3I(size, hidden, text=True),
}
"""By recipe. Each takes the size and how many tokens its mask hides (0 without one)."""
