"""A representation of another package, with a module of its own, is lowered by the operations that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from m3i_dsl.driver import compile_program
from m3i_dsl.semantics.program import Placed, Program
from m3i_dsl.vocabulary.kinds import Encoder, Representation, RepresentationShape, TargetParts, V
from m3i_dsl.vocabulary.modalities import Image
from tests.numerics.recipes import ROOT
from tests.testing.recipes import HALF, program


class Edges(nn.Module):
    """Horizontal differences of each patch [B, L, E], or of the whole image [B, E]; nothing is trained."""

    def __init__(self, shape: RepresentationShape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[1:] == self.shape.arguments[0]
        edges = image.diff(dim=3, append=image[..., :1]).abs().mean(dim=1)
        cells = edges.unflatten(2, (4, 8)).unflatten(1, (4, 8)).permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)
        return cells[..., : self.shape.width]


@dataclass(frozen=True, slots=True)
class EdgesOfPatches(Representation):
    """Differences of neighbouring pixels."""

    name = "edges"
    reads = Image
    encoder = None
    has_grid = True
    table = "edges"

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return 12

    def target(self, parts: TargetParts[V]) -> V:
        return parts.aligned(parts.represent(parts.image()))

    def build(self, shape: RepresentationShape) -> nn.Module:
        return Edges(shape)


def with_edges(of: Program) -> Program:
    (objective,) = of.objectives
    (target,) = objective.targets
    placed: Placed[Representation] = replace(target.representation, word=EdgesOfPatches())
    changed = replace(target, representation=placed)
    return replace(of, objectives=(replace(objective, targets=(changed,)),))


@pytest.mark.parametrize("tokens", ["all", "hidden"])
def test_a_dense_target_of_pixels_by_a_module_of_its_own(tokens: str) -> None:
    text = HALF.replace("distribution   gaussian", f"distribution gaussian(tokens: {tokens})")
    of = compile_program(with_edges(program(text)), ROOT)
    assert [e.operation for e in of.plain.equations].count("represent") == 1
    executable = of.executable
    assert isinstance(executable.module.get_submodule("representations.half_own"), Edges)
    batch = {"view1": torch.randn(4, 3, 32, 32), "view1_mask": torch.arange(16).expand(4, -1) < 8}
    found = executable.module(**batch)["representations"]["half.own/target"]
    expected = Edges(RepresentationShape(((3, 32, 32),), 12))(batch["view1"])
    torch.testing.assert_close(found, expected if tokens == "all" else expected[:, :8])
