"""How large the models and batches of a run are.

Takes: the name of a preset, or numbers. Gives: `Size`, and from it the `--set` values of the benchmark recipes and the
widths of the hand-written models. Guarantees: both sides read the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Size:
    """A ViT, the heads around it and the batch. Lengths in pixels, widths in channels."""

    batch: int = 16
    size: int = 112
    patch: int = 16
    width: int = 192
    depth: int = 12
    heads: int = 3
    decoder_width: int = 512
    decoder_layers: int = 8
    decoder_heads: int = 16
    hidden: int = 4096
    projection: int = 256
    correlated: int = 2048
    prototypes: int = 4096
    text_width: int = 256
    text_layers: int = 6
    text_heads: int = 4
    context: int = 77

    @property
    def side(self) -> int:
        """Patches along an edge."""
        return self.size // self.patch

    @property
    def tokens(self) -> int:
        """Patches of an image."""
        return self.side**2

    @property
    def settings(self) -> Mapping[str, str]:
        """The values of the recipes' parameters, as `--set` takes them; a recipe has some of them."""
        pixels = ("size", "patch")
        names = [field.name for field in fields(self) if field.name != "batch"]
        return {name: f"{getattr(self, name)}{'px' if name in pixels else ''}" for name in names}


_BASE = {"size": 224, "text_width": 512, "text_layers": 12, "text_heads": 8}

SIZES: Mapping[str, Size] = {
    # For tests and smoke runs: a 4 x 4 grid.
    "tiny": Size(
        batch=8,
        size=32,
        patch=8,
        width=48,
        depth=2,
        heads=3,
        decoder_width=32,
        decoder_layers=1,
        decoder_heads=2,
        hidden=64,
        projection=32,
        correlated=48,
        prototypes=64,
        text_width=32,
        text_layers=1,
        text_heads=2,
        context=16,
    ),
    "ti112": Size(),
    "ti224": Size(size=224),
    "base": Size(batch=256, width=768, depth=12, heads=12, **_BASE),
    "large": Size(batch=128, width=1024, depth=24, heads=16, **_BASE),
}
