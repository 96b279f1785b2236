"""The columns of the instantiation table that make a loss: representation, regularization, distribution; and the
weighting of several.

Takes: shapes. Gives: modules. Guarantees: no torch at import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from m3i_dsl.vocabulary.kinds.encoders import Encoder
from m3i_dsl.vocabulary.kinds.modalities import Modality
from m3i_dsl.vocabulary.kinds.predictors import Predictor
from m3i_dsl.vocabulary.kinds.shapes import (
    SAMPLES,
    Candidates,
    ConstantShares,
    Family,
    LikelihoodShape,
    Normalization,
    Pooling,
    RepresentationShape,
)
from m3i_dsl.vocabulary.kinds.targets import TargetParts, V
from m3i_dsl.vocabulary.values import Scalar
from m3i_dsl.vocabulary.word import Effect, Kind, Word

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How a prediction of pixels is shown as an image.

    `patches(prediction, truth)` [B, L, 3 stride^2] are the predicted patches in the values of the view, given those of
    the target view; `note` says what of the truth went into them, "" for nothing.
    """

    patches: Callable[[Tensor, Tensor], Tensor]
    note: str = ""


class Representation(Word):
    """z_x or z_y.

    `reads` is the modality of the data that it represents, `encoder` the modality of the encoder that it is `of` (None:
    it has none; `any`: both, and then it represents what `reads_of` says), `trained` whether it has trained parameters
    of its own.
    """

    kind: ClassVar[Kind] = "representation"
    reads: ClassVar[type[Modality]]
    encoder: ClassVar[Literal["image", "text", "any"] | None]
    trained: ClassVar[bool] = False
    table: ClassVar[str]
    """The cell of the instantiation table."""
    has_grid: ClassVar[bool] = False
    """Whether it is one vector for each token, each at a place of the image; else it is one vector for each sample."""
    candidates: ClassVar[Candidates] = SAMPLES
    """What a distribution that contrasts chooses among."""
    chosen: ClassVar[bool] = False
    """Whether it has a meaning only among its candidates (a row of a table), so that no distance to it is compared."""
    coded: ClassVar[bool] = False
    """Whether its encoder is a tokenizer, whose codes it represents."""
    assigned: ClassVar[bool] = False
    """Whether it is scores that regularizations make into shares of the candidates, which sum to 1."""

    @abstractmethod
    def width(self, encoder: Encoder | None, stride: int) -> int:
        """The channels of z_y: of `encoder`'s features, or of a patch of `stride` pixels."""

    def reads_of(self, encoder: Encoder | None) -> type[Modality]:
        """What it represents when it is of `encoder`."""
        return self.reads

    def as_input(self) -> Representation | None:
        """What it is as an input representation, where nothing is normalised or pooled; None for one that is none."""
        return None

    def pooling(self) -> Pooling | None:
        """How the tokens of its encoder become its one vector; None when they do not."""
        return None

    def normalization(self) -> Normalization:
        """Of a target, before it is compared."""
        return "none"

    def projects(self) -> bool:
        """Whether the encoder's projector, if it has one, comes before it; then z_x is projected as well."""
        return False

    def details(self) -> tuple[str, ...]:
        """How a target is made and normalised."""
        said = {"layer": "layer norm", "l2": "unit length"}.get(self.normalization())
        average = (f"mean of last {self.blocks()}",) if self.blocks() > 1 else ()
        return (*average, *((said,) if said else ()), *(("matched by feature",) if self.matches() else ()))

    def reconstruction(self) -> Reconstruction | None:
        """How its prediction is shown as an image; None when it is not of pixels."""
        return None

    def blocks(self) -> int:
        """How many of the encoder's last blocks it reads."""
        return 1

    def keeps_prefix(self) -> bool:
        """Whether class and register tokens come before those of its grid, and are compared as well."""
        return False

    def matches(self) -> bool:
        """Whether the target token of a prediction is found by the encoders' features, and not by its position."""
        return False

    def default_predictor(self, same_view: bool) -> Predictor:
        """What predicts it when a recipe does not say; `same_view`: every target is of the input's own view."""
        from m3i_dsl.vocabulary.predictors.linear import Linear

        return Linear()

    @abstractmethod
    def target(self, parts: TargetParts[V]) -> V:
        """z_y of one view or field, `aligned` with the predictions; normalised and detached by others."""

    def compared(self, parts: TargetParts[V], prediction: V, target: V) -> V:
        """-log P^(target | prediction), by one of the ways in which `parts` compares."""
        return parts.compare(prediction, target)

    def build(self, shape: RepresentationShape) -> nn.Module:
        """The module that `parts.represent` or `parts.table` calls, for a representation that asks for one."""
        raise NotImplementedError(self.name)


class Regularization(Word):
    """What keeps z_y from collapsing: the H(p(z_y|t_y)) of the bound.

    `certificate` says in one clause why the entropy of z_y cannot vanish ("" if this word alone does not ensure it). It
    is a promise: with it, a target that is trained or follows is not refused for collapsing (M3I0301).
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
    makes_shares: ClassVar[bool] = False
    """Whether what it assigns sums to 1: such a word comes after those that only shift the scores."""
    of_hidden: ClassVar[bool] = False
    """Whether, where only hidden tokens are compared, it is given the scores of these alone."""
    joint: ClassVar[bool] = False
    """Whether it adds one term of all predictions of shares together; then `build_joint` returns its module."""
    spreads: ClassVar[bool] = False
    """Whether it adds a term of the input's features, pooled as `pooling` says, once for each input that shows a view
    of `data`; then `build` returns its module: features [B, D] -> scalar."""
    prevents: ClassVar[frozenset[ConstantShares]] = frozenset()
    """The constant shares of prototypes that it works against."""
    needs_detached: ClassVar[bool] = False
    """Whether it takes the targets for constants, so that another term must stop their gradient."""
    reads_correlation: ClassVar[bool] = False
    """Whether its term is a function of the cross-correlation matrix of prediction and target alone, which its module
    takes as the keyword `correlation` where it is known."""
    empty: ClassVar[bool] = False
    """Whether it says that nothing is needed, and so goes with no other."""
    in_table: ClassVar[bool] = True
    """Whether it is a cell of the instantiation table: beside one that is, others make no other row of it."""

    def details(self) -> tuple[str, ...]:
        """Its name, in the box of the loss; of a term with a factor as well."""
        return (self.name,)

    def compares_batch(self) -> bool:
        """Whether its candidates are of the batch or of earlier ones."""
        return self.candidates is not None and self.candidates.of_batch

    def cell(self) -> str:
        """As the instantiation table writes it."""
        return self.name

    def queue_length(self) -> int:
        """How many earlier targets are the candidates in the place of the batch's; 0 without a queue."""
        return 0

    def candidate_tokens(self) -> int | None:
        """How many tokens of each image are candidates of a dense target; None if it does not say."""
        return None

    def chooses_among_predictions(self) -> bool:
        """Whether the predictions of the other samples are candidates beside their targets."""
        return False

    def pooling(self) -> Pooling | None:
        """How the tokens of an input become the features that it `spreads`."""
        return None

    def takes_shares(self) -> bool:
        """Whether it is given shares, which another word makes of the scores before it."""
        return False

    def joins_views(self) -> bool:
        """Whether it is given the scores of all views of the target as one batch."""
        return False

    def highest_temperature(self) -> float | None:
        """The largest temperature, over all of training, with which it sharpens shares; None if it has none."""
        return None

    def build(self) -> nn.Module:
        raise NotImplementedError(self.name)

    def build_assignment(self, width: int) -> nn.Module:
        """Module: scores [B, width] or [B, L, width] of each view of the target -> as many tensors of that shape."""
        raise NotImplementedError(self.name)

    def build_joint(self, temperature: float) -> nn.Module:
        """Module: scores [B, K] of every prediction of the target, whose softmax has `temperature` -> scalar."""
        raise NotImplementedError(self.name)


class Distribution(Word):
    """P^(z_y | zh): the likelihood family.

    `contrasts` families are normalised over a candidate set; the others compare prediction and target only.
    """

    kind: ClassVar[Kind] = "distribution"
    contrasts: ClassVar[bool] = False
    family: ClassVar[Family]
    """The paper's name for it: the two columns "Gaussian" and "Boltzmann" of the instantiation table."""
    takes_standardized: ClassVar[bool] = False
    """Whether it compares features that a regularization has standardised over the batch."""
    reads_correlation: ClassVar[bool] = False
    """Whether of standardised features it reads their cross-correlation matrix alone, which its module then takes as
    the keyword `correlation` where it is known."""
    weighs_tokens: ClassVar[bool] = False
    """Whether images may differ in how many tokens count: of values and of shares, its module then takes the keyword
    `filled`, bool [B, Q], and averages each image's tokens that are True, then the images (`modules.tokens`)."""
    expects_mixed_labels: ClassVar[bool] = False
    """Whether its source trains it on labels of mixed images."""

    def hidden_only(self) -> bool:
        """Whether only the hidden tokens of a dense target count."""
        return False

    def asks_both_ways(self) -> bool:
        """Whether candidates also choose among predictions."""
        return False

    def softmax_temperature(self) -> Scalar | None:
        """Of the softmax over the candidates; None for a family without."""
        return None

    def check(self, representation: Representation) -> None:
        """Raises WordError when it cannot compare such a target. Never imports torch."""
        return

    def effects_over(self, shape: LikelihoodShape) -> frozenset[Effect]:
        """The effects of the module that is built for `shape`, for a family whose effects depend on it."""
        return self.effects_of()

    @abstractmethod
    def build(self, shape: LikelihoodShape) -> nn.Module:
        """The module of -log P^; its arguments are those of the operation `shape.comparison`."""


class Weighting(Word):
    """How the targets of one objective are balanced."""

    kind: ClassVar[Kind] = "weighting"
    constant: ClassVar[bool] = False
    """Whether each loss counts by its `weight` alone, all through training."""
    compares_gradients: ClassVar[bool] = False
    """Whether it takes the gradient of every loss at z_x, which must then be one value in every graph."""

    @abstractmethod
    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> nn.Module:
        """Module: (losses, shared z_x) -> (total, weights [K] detached)."""
