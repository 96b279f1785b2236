"""Features of a trained encoder in plain timm: python examples/use_exported.py FOLDER (what `m3ic export` wrote)."""

from __future__ import annotations

import sys

import timm
import torch


def main() -> None:
    """Loads the encoder by timm alone and prints the shape of its features of two random images."""
    encoder = timm.create_model(f"local-dir:{sys.argv[1]}", pretrained=True).eval()
    size = encoder.pretrained_cfg["input_size"]
    with torch.inference_mode():
        features = encoder.forward_features(torch.randn(2, *size))
    print(f"{type(encoder).__name__}: {tuple(features.shape)}")


if __name__ == "__main__":
    main()
