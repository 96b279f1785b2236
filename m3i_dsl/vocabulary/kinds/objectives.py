"""The columns of the instantiation table that make a loss: representation, regularization, distribution; and the
weighting of several.

Takes: shapes. Gives: modules. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from m3i_dsl.vocabulary.kinds.encoders import Encoder
from m3i_dsl.vocabulary.kinds.shapes import Candidates, Family, Form, LikelihoodShape, Modality
from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    from torch import nn


class Representation(Word):
    """z_x or z_y.

    `form` is what it is made of, `reads` the modality of the data that it represents, `encoder` the modality of the
    encoder that it is `of` (None: it has none), `trained` whether it has trained parameters of its own.
    """

    kind: ClassVar[Kind] = "representation"
    form: ClassVar[Form]
    reads: ClassVar[Modality]
    encoder: ClassVar[Literal["image", "text"] | None]
    trained: ClassVar[bool] = False
    table: ClassVar[str]
    """The cell of the instantiation table."""

    @abstractmethod
    def width(self, encoder: Encoder | None, stride: int) -> int:
        """The channels of z_y: of `encoder`'s features, or of a patch of `stride` pixels."""

    def build(self, input_width: int, width: int, categories: int) -> nn.Module:
        """The module of a representation that is `trained`: from `input_width` channels to `width`."""
        raise NotImplementedError(self.name)


class Regularization(Word):
    """What keeps z_y from collapsing: the H(p(z_y|t_y)) of the bound.

    `certificate` says in one clause why the entropy of z_y cannot vanish ("" if this word alone does not ensure it).
    """

    kind: ClassVar[Kind] = "regularization"
    certificate: ClassVar[str] = ""
    detaches: ClassVar[bool] = False
    """Whether z_y enters the loss without gradient."""
    candidates: ClassVar[Candidates | None] = None
    """The candidate set that it gives a Boltzmann distribution."""
    penalizes: ClassVar[bool] = False
    """Whether it adds a term to the loss; then `build` returns its module: (prediction, target) -> scalar."""
    standardizes: ClassVar[bool] = False
    """Whether prediction and target are standardised over the batch before the loss."""
    assigns: ClassVar[bool] = False
    """Whether it takes part in making scores of prototypes into z_y; then `build_assignment` returns its module."""

    def build(self) -> nn.Module:
        raise NotImplementedError(self.name)

    def build_assignment(self, width: int) -> nn.Module:
        """Module: scores [B, width] of each view of the target -> as many tensors of that shape."""
        raise NotImplementedError(self.name)


class Distribution(Word):
    """P^(z_y | zh): the likelihood family.

    `contrasts` families are normalised over a candidate set; the others compare prediction and target only.
    """

    kind: ClassVar[Kind] = "distribution"
    contrasts: ClassVar[bool] = False
    family: ClassVar[Family]
    """The paper's name for it: the two columns "Gaussian" and "Boltzmann" of the instantiation table."""

    def hidden_only(self) -> bool:
        """Whether only the hidden tokens of a dense target count: the argument `tokens` of the families with it."""
        return getattr(self, "tokens", "all") == "hidden"

    @abstractmethod
    def build(self, shape: LikelihoodShape) -> nn.Module:
        """The module of -log P^; its arguments are those of the `likelihood` operation (ir/operations.py)."""


class Weighting(Word):
    """How the targets of one objective are balanced."""

    kind: ClassVar[Kind] = "weighting"
    compares_gradients: ClassVar[bool] = False
    """Whether it takes the gradient of every loss at z_x, which must then be one value in every graph."""

    @abstractmethod
    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> nn.Module:
        """Module: (losses, shared z_x) -> (total, weights [K] detached)."""
