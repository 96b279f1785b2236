"""The path of images and texts to the space of a text target.

Takes: a program, its modules and one of its targets. Gives: predicted embeddings of images and embeddings of texts.
Guarantees: an image takes the path that the target trained (encoder, pool, projector, predictor, normalisation),
without mask and mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3i_dsl.evaluation.features import frozen, pool_tokens
from m3i_dsl.lower.executable import Executable, unwrapped
from m3i_dsl.lower.parts import Group
from m3i_dsl.semantics.program import Objective, Target


@dataclass(frozen=True, eq=False)
class ModuleTextPath:
    """The modules that a text target trains. Source of the order: `ir/build_target.py`, `_prediction` and `_text`."""

    executable: Executable
    objective: Objective
    target: Target
    base: Path

    @property
    def name(self) -> str:
        return f"{self.objective.name}_{self.target.name}"

    def embed_images(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, E], l2-normalised."""
        word = self.objective.encoder.image
        encoder = self.executable.encoders[self.objective.encoder.name]
        predictor = self._module("predictors", self.name)
        parameter = next(encoder.parameters())
        shape, predicts = word.shape(), self.target.predictor.word
        with frozen(self.executable.module):
            features = cast(Tensor, encoder(images.to(parameter.device, parameter.dtype)))
            if not predicts.pools:
                features = pool_tokens(features, shape.prefix, predicts.pooling())
            projects = self.target.projected
            if projects and word.projector is not None:
                features = self._module("projectors", self.objective.encoder.name)(features)
            prediction = predictor(features, prefix=shape.prefix) if predicts.pools else predictor(features)
            return F.normalize(prediction, dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """T texts -> [T, E], l2-normalised."""
        assert self.target.encoder is not None
        word = self.target.encoder.text
        encoder = self.executable.encoders[self.target.encoder.name]
        tokens = torch.from_numpy(word.tokenize(texts, self.base)).to(next(encoder.parameters()).device)
        with frozen(self.executable.module):
            return F.normalize(self._module("representations", self.name)(encoder(tokens)), dim=-1)

    def _module(self, section: str, name: str) -> nn.Module:
        group = self.executable.module.get_submodule(section)
        assert isinstance(group, Group)
        return unwrapped(group[name])
