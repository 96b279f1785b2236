"""Frozen features leave the encoder as it was; baselines see the same images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m3i_dsl.evaluation.baselines import raw_pixels, raw_pixels_note
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.features import dense_features, frozen, pooled_features
from tests.evaluation.tiny import Tokens


def test_modes_buffers_and_gradients_are_restored() -> None:
    encoder = Tokens().train()
    encoder.norm.eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    features = pooled_features(encoder, torch.randn(10, 3, 8, 8), prefix=1, batch=4)
    assert encoder.training
    assert not encoder.norm.training
    assert not features.requires_grad
    assert torch.is_grad_enabled()
    after = encoder.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_modes_are_restored_after_an_error() -> None:
    encoder = nn.Dropout().train()
    with pytest.raises(RuntimeError), frozen(encoder):
        raise RuntimeError
    assert encoder.training


def test_pools_and_batches() -> None:
    encoder = Tokens().eval()
    images = torch.randn(10, 3, 8, 8)
    with torch.no_grad():
        tokens = encoder(images)
    torch.testing.assert_close(pooled_features(encoder, images, prefix=1, batch=3), tokens[:, 1:].mean(1))
    torch.testing.assert_close(pooled_features(encoder, images, prefix=1, pool="class", batch=4), tokens[:, 0])
    torch.testing.assert_close(pooled_features(encoder, list(images.split(5)), prefix=0), tokens.mean(1))
    torch.testing.assert_close(torch.cat(list(dense_features(encoder, images, batch=7))), tokens)


def test_features_are_float32_whatever_the_encoder_computes_in() -> None:
    images = torch.randn(4, 3, 8, 8)
    plain = pooled_features(Tokens(), images, prefix=1)
    double = pooled_features(Tokens().double(), images, prefix=1)
    half = pooled_features(Tokens(), images, prefix=1, precision="bf16")
    assert plain.dtype == double.dtype == half.dtype == torch.float32
    torch.testing.assert_close(plain, double)
    assert 0 < float((plain - half).abs().max()) < 0.1


def test_an_encoder_without_class_token_is_refused() -> None:
    with pytest.raises(EvaluationError) as caught:
        pooled_features(Tokens(), torch.randn(2, 3, 8, 8), prefix=0, pool="class")
    assert caught.value.code == "M3I0752"


def test_features_that_are_not_finite_are_refused() -> None:
    encoder = Tokens()
    with torch.no_grad():
        encoder.linear.weight[0, 0] = torch.nan
    with pytest.raises(EvaluationError, match="3 of 3 images") as caught:
        pooled_features(encoder, torch.randn(3, 3, 8, 8), prefix=1)
    assert caught.value.code == "M3I0751"


def test_raw_pixels_are_the_pixels() -> None:
    images = torch.randn(5, 3, 16, 24)
    torch.testing.assert_close(raw_pixels(images), images.flatten(1))
    large = torch.randn(2, 3, 64, 64)
    small = raw_pixels(large)
    torch.testing.assert_close(small, large.unflatten(3, (32, 2)).unflatten(2, (32, 2)).mean((3, 5)).flatten(1))
    assert raw_pixels_note(16, 24) == "all 16 x 24 pixels"
    assert raw_pixels_note(64, 64) == "averaged to 32 x 32 pixels"
