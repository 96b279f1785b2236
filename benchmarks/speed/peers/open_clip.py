"""open_clip: CLIP from configurations, with timm's ViT and its own text transformer, and ClipLoss.

Its text transformer is causal and takes the last token; the recipe's averages all tokens. Their sizes are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from benchmarks.speed.handwritten.clip import VOCABULARY
from benchmarks.speed.handwritten.model import Batch, Handwritten, vit
from benchmarks.speed.size import Size


class OpenCLIP(Handwritten):
    """The trunk of its timm tower is replaced by a ViT of the size asked for."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        vision = CLIPVisionCfg(timm_model_name="vit_tiny_patch16_224", timm_pool="avg", image_size=size.size)
        text = CLIPTextCfg(
            context_length=size.context,
            vocab_size=VOCABULARY,
            width=size.text_width,
            heads=size.text_heads,
            layers=size.text_layers,
        )
        self.model = CLIP(size.projection, vision, text, output_dict=False)
        trunk = vit(size)
        trunk.global_pool = "avg"
        self.model.visual.trunk = trunk
        self.model.visual.head.proj = torch.nn.Linear(size.width, size.projection, bias=False)
        self.criterion = ClipLoss()

    def forward(self, batch: Batch) -> Tensor:
        image, text, scale = self.model(batch["view1"], batch["tokens"])[:3]
        return self.criterion(image, text, scale)


MODELS: Mapping[str, Callable[[Size, int], Handwritten]] = {"clip": OpenCLIP}
