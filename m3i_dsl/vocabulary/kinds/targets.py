"""What a representation writes its target with.

Takes: nothing. Gives: `TargetParts`, the operations of which z_y is made, from a view or a field to a loss. Guarantees:
words see values as opaque; the graph is built elsewhere (ir/target_parts.py), and a word of another package is lowered
by the same operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from m3i_dsl.vocabulary.kinds.shapes import Pooling

V = TypeVar("V")
"""A value of the graph that is built: a batch of views, features, labels."""


class TargetParts(Protocol[V]):
    """One view or field of a target, and what can be made of it. To ask twice for the same value writes it once."""

    def image(self) -> V:
        """f32 [B, 3, H, W]: the normalised pixels of the view."""
        ...

    def field(self) -> V:
        """The field: a category i64 [B], or a text i64 [B, T] tokenised by the encoder, 0 = padding."""
        ...

    def encode(self, blocks: int = 1) -> V:
        """f32 [B, P + N, D]: the view through the image encoder; with `blocks` K > 1 the mean of the outputs of its
        last K blocks, each layer-normalised.
        """
        ...

    def encode_text(self, tokens: V) -> V:
        """f32 [B, T, W]: tokens through the text encoder."""
        ...

    def pool_text(self, features: V, tokens: V) -> V:
        """f32 [B, W] of the features [B, T, W] of `tokens`, as the text encoder pools: padding does not count."""
        ...

    def project(self, features: V) -> V:
        """Features [..., D] through the encoder's projector; as they are if it has none."""
        ...

    def codes(self) -> tuple[V, int]:
        """i64 [B, N]: the code of each token of the view, by the codebook that ends the encoder's projector; and how
        many codes there are.
        """
        ...

    def pool(self, features: V, mode: Pooling) -> V:
        """f32 [B, D] of tokens [B, P + N, D]."""
        ...

    def patches(self, features: V) -> V:
        """f32 [B, N, D]: the tokens of the grid, without class and register tokens."""
        ...

    def patchify(self, image: V, *, normalize: bool) -> V:
        """f32 [B, L, 3 stride^2]: the pixels of each patch, perhaps normalised by their own mean and variance."""
        ...

    def match(self, target: V, features: V) -> V:
        """The row of `target` [B, L, d] for each token of z_x: the one whose feature [B, P + L, D] is most similar."""
        ...

    def represent(self, *values: V) -> V:
        """f32 [B, E], or [B, L, E] of a representation that has a grid: its own module on values; E is its `width`."""
        ...

    def table(self, rows: int | None = None) -> tuple[V, V]:
        """W [C, E] and a bias [C], from the representation's own module; a row for each category of the field, or so
        many `rows`.
        """
        ...

    def shares(self, scores: Callable[[TargetParts[V]], V]) -> V:
        """f32 [B, K], or [B, L, K] of a representation that has a grid: `scores` of that shape of every view of the
        target, made into shares by its regularizations; those of this view, of the tokens that count.
        """
        ...

    def aligned(self, value: V) -> V:
        """What belongs to each prediction: of its image in a mix, and of the tokens that count of a dense target."""
        ...

    def compare(self, prediction: V, target: V, keys: V | None = None) -> V:
        """The loss of two values of one shape, aligned: a distance or, where the distribution is normalised over
        candidates, a contrast with the other samples' targets. A queue takes `keys` [B, L, d], all tokens of a dense
        target, in the place of the target's.
        """
        ...

    def classify(self, prediction: V, table: V, bias: V, labels: V) -> V:
        """The loss of choosing row `labels` i64 [...] of `table` [C, E] by `prediction` [..., E]."""
        ...

    def retrieve(self, prediction: V, texts: V, tokens: V) -> V:
        """The loss of finding the own one of the `texts` [B, E] of the batch, equal ones being equal in `tokens`."""
        ...

    def cross_entropy(self, prediction: V, shares: V) -> V:
        """The loss H(shares, softmax(prediction)) over candidates [B, K] or [B, L, K]."""
        ...
