"""What words ask about each other: the names of forms and families, and shapes.

Takes: nothing. Gives: plain values. Guarantees: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Modality = Literal["image", "text", "category"]

Form = Literal["dense", "global", "prototypes", "categories", "texts"]
"""What a target representation is made of: L vectors, one vector, shares of prototypes, the rows of a class table, text
embeddings."""

Family = Literal["gaussian", "boltzmann"]
"""The paper's names for likelihood families."""

Candidates = Literal["samples", "prototypes", "categories", "texts"]
"""What a Boltzmann distribution is normalised over."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows x columns of tokens, row-major when flattened to L = rows * columns."""

    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """What an image encoder yields: `[B, prefix + grid.tokens, width]`; `prefix` class/register tokens come first.

    `depth` is the number of blocks whose outputs can be tapped; `stride` the pixels per token.
    `image` is the (height, width) that it is made for.
    """

    width: int
    grid: Grid
    prefix: int
    depth: int
    stride: int
    image: tuple[int, int]


@dataclass(frozen=True, slots=True)
class PredictorShape:
    """What a predictor is built for.

    `input_width` D of what it is given (after the projector, if any); `output_width` of the target; `prefix` tokens
    before the grid tokens; `input_grid` of the input view; `target_grid` of a dense target, None for a global one;
    `wanted` the number of target tokens to predict (L, or the hidden count); `sources` 2 when the tokens of a mix come
    in all together and must be told apart, else 1.
    """

    input_width: int
    output_width: int
    prefix: int
    input_grid: Grid
    target_grid: Grid | None
    wanted: int
    sources: int = 1


@dataclass(frozen=True, slots=True)
class LikelihoodShape:
    """What a distribution is built for.

    `candidates` of a Boltzmann (None for the other families); `width` of the target; `queue` earlier targets kept as
    negatives (0: none); `tokens` candidate tokens of each image for a dense target; `standardized` when prediction and
    target are standardised over the batch.
    """

    candidates: Candidates | None
    width: int
    queue: int = 0
    tokens: int = 8
    standardized: bool = False
