"""lightly: its modules, losses and momentum update, put together as its examples do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity
from lightly.models.modules import (
    BarlowTwinsProjectionHead,
    BYOLPredictionHead,
    BYOLProjectionHead,
    DINOProjectionHead,
    MaskedVisionTransformerDecoderTIMM,
    MaskedVisionTransformerTIMM,
)
from lightly.models.utils import get_at_index, patchify, update_momentum
from torch import Tensor, nn

from benchmarks.speed.handwritten.model import Batch, Handwritten, average_of, class_token, pooled, positions_of, vit
from benchmarks.speed.size import Size


class MAE(Handwritten):
    """Masked ViT, decoder with restored order, prediction of hidden tokens; pixels of a patch normalised."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.size, self.hidden = size, hidden
        self.encoder = MaskedVisionTransformerTIMM(vit=vit(size), pos_embed_initialization="learn")
        self.embed = nn.Linear(size.width, size.decoder_width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=size.tokens,
            embed_dim=size.decoder_width,
            depth=size.decoder_layers,
            num_heads=size.decoder_heads,
        )
        self.out = nn.Linear(size.decoder_width, 3 * size.patch**2)

    def forward(self, batch: Batch) -> Tensor:
        image = batch["view1"]
        seen, asked = (index + 1 for index in positions_of(batch["hidden"], self.hidden))
        seen = torch.cat([torch.zeros_like(seen[:, :1]), seen], dim=1)
        encoded: Any = self.encoder.encode(images=image, idx_keep=seen)
        decoded = self.decoder(_restored(self.embed(encoded), seen, self.decoder), idx_mask=asked)
        prediction = self.out(get_at_index(decoded, asked))
        target = get_at_index(patchify(image, self.size.patch), asked - 1)
        mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True)
        return nn.functional.mse_loss(prediction, (target - mean) / (variance + 1e-6) ** 0.5)


def _restored(tokens: Tensor, index: Tensor, decoder: Any) -> Tensor:
    """All tokens in their order, mask tokens where there is none."""
    whole = decoder.mask_token.repeat(len(tokens), decoder.sequence_length, 1).to(tokens.dtype)
    return whole.scatter(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]), tokens)


class SimMIM(Handwritten):
    """Masked ViT with mask tokens, a linear head on hidden tokens, absolute error."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.size, self.hidden = size, hidden
        self.encoder = MaskedVisionTransformerTIMM(vit=vit(size), pos_embed_initialization="learn")
        self.head = nn.Linear(size.width, 3 * size.patch**2)

    def forward(self, batch: Batch) -> Tensor:
        image = batch["view1"]
        _, asked = positions_of(batch["hidden"], self.hidden)
        encoded = self.encoder.encode(images=image, idx_mask=asked + 1)
        target = get_at_index(patchify(image, self.size.patch), asked)
        return nn.functional.l1_loss(self.head(get_at_index(encoded, asked + 1)), target)


class _Averaged(Handwritten):
    """Averages moved by lightly's own function."""

    momentum = 0.996

    def move_averages(self) -> None:
        for average, followed in self.averaged():
            update_momentum(followed, average, self.momentum)


class BYOL(_Averaged):
    """Both directions, negative cosine similarity."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.projector = BYOLProjectionHead(size.width, size.hidden, size.projection)
        self.predictor = BYOLPredictionHead(size.projection, size.hidden, size.projection)
        self.average, self.average_projector = average_of(self.vit, self.projector)
        self.criterion = NegativeCosineSimilarity()

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_projector, self.projector))

    def forward(self, batch: Batch) -> Tensor:
        views = (batch["view1"], batch["view2"])
        first, second = (self.predictor(self.projector(pooled(self.vit, view))) for view in views)
        with torch.no_grad():
            of_first, of_second = (self.average_projector(pooled(self.average, view)) for view in views)
        # Its loss is -cos; the recipe's is 2 - 2 cos, for each direction.
        return 4 + 2 * (self.criterion(first, of_second) + self.criterion(second, of_first))


class BarlowTwins(Handwritten):
    """Its head and its loss."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.projector = BarlowTwinsProjectionHead(size.width, size.correlated, size.correlated)
        self.criterion = BarlowTwinsLoss(lambda_param=0.0051)

    def forward(self, batch: Batch) -> Tensor:
        return self.criterion(*(self.projector(pooled(self.vit, batch[view])) for view in ("view1", "view2")))


class DINO(_Averaged):
    """Its head and its loss. A head under weight norm cannot be copied: two are made, with one state."""

    def __init__(self, size: Size, hidden: int) -> None:
        super().__init__()
        self.vit = vit(size)
        self.head, self.average_head = (
            DINOProjectionHead(size.width, size.hidden, size.projection, size.prototypes) for _ in range(2)
        )
        self.average_head.load_state_dict(self.head.state_dict())
        self.average_head.requires_grad_(False)
        (self.average,) = average_of(self.vit)
        self.criterion = DINOLoss(size.prototypes)

    def averaged(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        return ((self.average, self.vit), (self.average_head, self.head))

    def forward(self, batch: Batch) -> Tensor:
        views = (batch["view1"], batch["view2"])
        with torch.no_grad():
            targets = [self.average_head(class_token(self.average, view)) for view in views]
        return self.criterion(targets, [self.head(class_token(self.vit, view)) for view in views])


MODELS: Mapping[str, Callable[[Size, int], Handwritten]] = {
    "mae": MAE,
    "simmim": SimMIM,
    "byol": BYOL,
    "barlow_twins": BarlowTwins,
    "dino": DINO,
}
