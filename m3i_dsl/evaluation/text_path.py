"""The path of images and texts to the space of a text target.

Takes: an executable and the graphs of one of its targets. Gives: predicted embeddings of images and embeddings of
texts. Guarantees: both are what training compares, written by the builder of the step and run over its modules
(ir/build_evaluation.py), without mask and mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx

from m3i_dsl.evaluation.features import frozen
from m3i_dsl.ir.build_evaluation import build_evaluation
from m3i_dsl.ir.graph import Graph
from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.to_fx import to_fx
from m3i_dsl.vocabulary.kinds import TextEncoder


@dataclass(frozen=True, eq=False)
class GraphTextPath:
    """`images` and `texts` are lowered over the modules of `step`, `tokenizer` is the text encoder's word."""

    step: fx.GraphModule
    images: fx.GraphModule
    texts: fx.GraphModule
    tokenizer: TextEncoder
    base: Path

    def embed_images(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, E], l2-normalised."""
        parameter = next(self.step.parameters())
        return self._run(self.images, "prediction", images.to(parameter.device, parameter.dtype))

    def embed_texts(self, texts: list[str]) -> Tensor:
        """T texts -> [T, E], l2-normalised."""
        tokens = torch.from_numpy(self.tokenizer.tokenize(texts, self.base))
        return self._run(self.texts, "target", tokens.to(next(self.step.parameters()).device))

    def _run(self, module: fx.GraphModule, output: str, given: Tensor) -> Tensor:
        with frozen(self.step):
            return cast(dict[str, Any], module(given))[output]


def text_path_of(executable: Executable, encoder: str, base: Path) -> GraphTextPath | None:
    """Of the first text target that trains `encoder`; None when no target does."""
    path = next((path for path in build_evaluation(executable.program) if path.objective.encoder.name == encoder), None)
    if path is None or path.target.encoder is None:
        return None
    return GraphTextPath(
        step=executable.module,
        images=_lowered(path.images, executable),
        texts=_lowered(path.texts, executable),
        tokenizer=path.target.encoder.text,
        base=base,
    )


def _lowered(graph: Graph, executable: Executable) -> fx.GraphModule:
    return to_fx(graph, executable.module)[0]
