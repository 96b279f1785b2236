"""Hugging Face transformers: ViTMAEForPreTraining from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from benchmarks.speed.handwritten.model import Batch, Handwritten
from benchmarks.speed.size import Size


class MAE(Handwritten):
    """Hides the tokens that the recipe hides: the noise that it sorts is the mask."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.model = ViTMAEForPreTraining(
            ViTMAEConfig(
                image_size=size.size,
                patch_size=size.patch,
                hidden_size=size.width,
                num_hidden_layers=size.depth,
                num_attention_heads=size.heads,
                intermediate_size=4 * size.width,
                decoder_hidden_size=size.decoder_width,
                decoder_num_hidden_layers=size.decoder_layers,
                decoder_num_attention_heads=size.decoder_heads,
                decoder_intermediate_size=4 * size.decoder_width,
                mask_ratio=hidden / size.tokens,
                norm_pix_loss=True,
                attn_implementation="sdpa",
            )
        )

    def forward(self, batch: Batch) -> Tensor:
        return self.model(batch["view1"], noise=batch["hidden"].float()).loss


MODELS: Mapping[str, Callable[[Size, int], Handwritten]] = {"mae": MAE}
