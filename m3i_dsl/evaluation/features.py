"""Frozen features of an image encoder.

Takes: an encoder module that maps images [B, 3, H, W] to tokens [B, prefix + N, D], and images. Gives: one pooled
vector for each image, or the dense grid. Guarantees: evaluation mode and no gradient inside, every submodule's mode
and every buffer restored afterwards (batch-norm statistics do not move); features come back as float32 on the CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from m3i_dsl.evaluation import errors

Pool = Literal["mean", "class"]
Precision = Literal["fp32", "bf16"]


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Generator[None]:
    """Evaluation mode without gradient for all submodules; each one's own mode is restored on the way out."""
    modes = [(submodule, submodule.training) for module in modules for submodule in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for submodule, training in modes:
            submodule.training = training


def pool_tokens(tokens: Tensor, prefix: int, pool: Pool) -> Tensor:
    """[B, prefix + N, D] -> [B, D]: the mean of the N grid tokens, or the first prefix token (the class token)."""
    if pool == "mean":
        return tokens[:, prefix:].mean(dim=1)
    if prefix == 0:
        raise errors.EvaluationError(
            errors.NO_CLASS_TOKEN,
            "`pool: class` on an encoder without a class token",
            help="write `pool: mean`",
        )
    return tokens[:, 0]


def batches(images: Tensor | Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """`images` in batches: a tensor [N, 3, H, W] is cut into pieces of `size`, anything else yields its own batches."""
    if isinstance(images, Tensor):
        yield from torch.split(images, size)
    else:
        yield from images


def dense_features(
    encoder: nn.Module, images: Tensor | Iterable[Tensor], *, batch: int = 256, precision: Precision = "fp32"
) -> Iterator[Tensor]:
    """The encoder's tokens [b, prefix + N, D], batch by batch, on the encoder's device, in evaluation mode.

    `bf16` runs the encoder under autocast, as training with `precision bf16` does.
    """
    with frozen(encoder):
        for part in batches(images, batch):
            yield tokens_of(encoder, part, precision)


def tokens_of(encoder: nn.Module, images: Tensor, precision: Precision = "fp32") -> Tensor:
    """The tokens [b, prefix + N, D] of one batch, on the encoder's device; inside `frozen`."""
    parameter = next(encoder.parameters())
    with torch.autocast(parameter.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return encoder(images.to(parameter.device, parameter.dtype, non_blocking=True))


def pooled_features(
    encoder: nn.Module,
    images: Tensor | Iterable[Tensor],
    *,
    prefix: int,
    pool: Pool = "mean",
    batch: int = 256,
    precision: Precision = "fp32",
) -> Tensor:
    """f32 [N, D] on the CPU: the frozen feature of each image.

    Raises EvaluationError (M3I0751) when one is not finite.
    """
    parts = [
        pool_tokens(tokens.float(), prefix, pool).cpu()
        for tokens in dense_features(encoder, images, batch=batch, precision=precision)
    ]
    return finite(torch.cat(parts))


def finite(features: Tensor) -> Tensor:
    """`features` [N, D] as they are. Raises EvaluationError (M3I0751) when a number in them is not finite."""
    if broken := broken_in(features):
        raise not_finite(broken, len(features))
    return features


def broken_in(features: Tensor) -> int:
    """How many rows of `features` [N, D] have a number that is not finite."""
    return int((~torch.isfinite(features)).any(dim=1).sum())


def not_finite(broken: int, count: int) -> errors.EvaluationError:
    """M3I0751."""
    return errors.EvaluationError(
        errors.FEATURES_NOT_FINITE,
        f"the encoder's features are not finite for {broken} of {count} images",
        help="evaluate an earlier checkpoint, and train with a lower learning rate or with clipping",
    )
