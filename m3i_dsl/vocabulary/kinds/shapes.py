"""What words ask about each other: the names of forms and families, and shapes.

Takes: nothing. Gives: plain values. Guarantees: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["gaussian", "boltzmann"]
"""The paper's names for likelihood families."""

Pooling = Literal["mean", "class"]
"""How tokens become one vector: their mean (GAP) or the class token."""

TextPooling = Literal["mean", "end"]
"""How the tokens of a text become one vector: their mean without padding, or the last of them."""

Normalization = Literal["layer", "l2", "none"]
"""Of a target: layer norm over channels without affine, or the unit sphere, which the prediction then is on too."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a Boltzmann distribution is normalised over.

    `one` is a single candidate in a message. `of_batch`: they come from the samples of the batch, so that more samples
    are more candidates; a candidate that is not belongs to many samples. `regularization` is what a recipe writes to
    have them.
    """

    name: str
    one: str
    of_batch: bool
    regularization: str


SAMPLES = Candidates("samples", "sample", True, "negative samples")
CATEGORIES = Candidates("categories", "category", False, "negative categories")
TEXTS = Candidates("texts", "text", True, "negative texts")
CODES = Candidates("codes", "code", False, "negative codes")
PROTOTYPES = Candidates("prototypes", "prototype", False, "centering + sharpening")

CANDIDATE_TOKENS = 8
"""Tokens of each image that are candidates of a dense target, when nothing says otherwise (our choice)."""

ConstantShares = Literal["one for all", "equal"]
"""The shares of prototypes that say nothing of an image: one and the same prototype for every image, or 1/K of each."""


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
    """What a predictor is built for: what all its calls agree on.

    `input_width` D of what it is given (after the projector, if any); `output_width` of the target; `sources` 2 when
    the tokens of a mix come in all together and must be told apart, else 1.
    """

    input_width: int
    output_width: int
    sources: int = 1


@dataclass(frozen=True, slots=True)
class PredictorCall:
    """What a predictor is asked for: the widths of `PredictorShape`, and where tokens are.

    `input_grid` of an input view; `target_grid` of a dense target, None for a global one.
    """

    input_width: int
    output_width: int
    input_grid: Grid
    target_grid: Grid | None


@dataclass(frozen=True, slots=True)
class RepresentationShape:
    """What the own module of a representation is built for.

    `arguments` are the sizes of what it is called with, without the batch; `width` E of what it yields; `rows` of a
    table (0: it is none).
    """

    arguments: tuple[tuple[int, ...], ...]
    width: int
    rows: int = 0


Comparison = Literal["compare", "contrast", "classify", "retrieve", "cross_entropy"]
"""How a prediction meets its target; the operations of the IR, and what the module of a distribution is called with.

`compare(prediction, target)`: two values of one shape, [B, E] or [B, L, E]. `contrast(prediction, target, keys)`: among
the targets of the batch or a queue. `classify(prediction, table, bias, labels, others=, share=)`: among a table's rows.
`retrieve(prediction, texts, tokens, partnered=)`: among the texts of the batch. `cross_entropy(prediction, shares)`:
with shares of the candidates.
"""


@dataclass(frozen=True, slots=True)
class LikelihoodShape:
    """What a distribution is built for.

    `comparison` is how it is called; `width` of the target; `queue` earlier targets kept as negatives (0: none);
    `tokens` candidate tokens of each image for a dense target; `standardized` when prediction and target are
    standardised over the batch; `predictions` when those of other samples are candidates, too.
    """

    comparison: Comparison
    width: int
    queue: int = 0
    tokens: int = CANDIDATE_TOKENS
    standardized: bool = False
    predictions: bool = False
