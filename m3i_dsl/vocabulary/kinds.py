"""The kinds of words: what each column of the instantiation table must be able to do.

Takes: nothing. Gives: one abstract class for each kind, with the methods that the phases call. Guarantees: no torch at
import; the methods named `build` (they return an `nn.Module`) and `apply` import it when called.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from m3i_dsl.vocabulary.word import Kind, Word

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from m3i_dsl.vocabulary.draws import Draws

Modality = Literal["image", "text", "category"]


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


class WordError(Exception):
    """A word whose arguments do not fit what they are used on; becomes a diagnostic at the argument's span.

    `argument` names the argument at fault (None: the word itself), `message` follows the style of diagnostics.
    """

    def __init__(self, message: str, *, argument: str | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.help = help


# --- data -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What a source turned out to hold when it was opened (at `compile`; recorded in `m3i.lock`).

    `fingerprint` is a hash over the content or, for large sources, over names, sizes and modification-independent
    metadata; `categories` the class names in label order, empty without a category field.
    """

    samples: int
    categories: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One decoded sample; None for a field not asked for.

    `image` is uint8 [H, W, 3] RGB: the picture itself, or all of it resampled to a square canvas. `size` is the
    (height, width) in pixels of the picture as stored, which crops are drawn in. `category` is a class index.
    """

    image: NDArray[np.uint8] | None = None
    text: str | None = None
    category: int | None = None
    size: tuple[int, int] | None = None


class BrokenSample(Exception):
    """One sample that cannot be decoded; `name` is what a user can look up (file name, row)."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Dataset:
    """Random access to an opened source."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, index: int, fields: frozenset[str]) -> Sample:
        """Decodes only `fields`. Raises BrokenSample."""

    def shards(self) -> NDArray[np.int64] | None:
        """int64 [S], the numbers of samples in the shards that follow each other, when a random sample costs its
        shard: the order of training then stays within a few of them at a time. None when any sample is at hand.
        """
        return None

    def evaluation(self) -> Dataset:
        """The held-out part to evaluate on (a test split); raises WordError when the source has none."""
        raise WordError("source has no held-out split to evaluate on")


class Source(Word):
    """Where samples come from."""

    kind: ClassVar[Kind] = "source"

    def check(self) -> None:
        """Raises WordError for arguments that are wrong whatever is on the disk. Opens nothing."""
        return

    def has_held_out(self) -> bool:
        """Whether it is declared to have held-out samples to evaluate on, without opening anything."""
        return True

    @abstractmethod
    def fields(self) -> dict[str, Modality]:
        """The fields it is declared to have, by name, without opening anything."""

    @abstractmethod
    def describe(self, base: Path) -> SourceDescription:
        """Opens the source (paths are relative to `base`, the recipe's folder). Raises WordError."""

    @abstractmethod
    def open(self, base: Path) -> Dataset:
        """Raises WordError."""


class Transform(Word):
    """One step of a view: drawn for each sample, applied to the batch on the device."""

    kind: ClassVar[Kind] = "transform"

    def output_size(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """(height, width) after this step given that before it; None while it is not known (source-sized).

        Raises WordError when the arguments do not fit each other or the size.
        """
        return size

    @abstractmethod
    def apply(self, images: torch.Tensor, state: ViewState, draws: Draws) -> torch.Tensor:
        """images f32 [B, 3, H, W] in [0, 1] -> the same with this step done; geometric steps update `state`."""


@dataclass(slots=True, eq=False)
class ViewState:
    """Where the pixels of B images come from; geometric steps read it and move it on.

    `sizes` int64 [B, 2]: (height, width) of the source images. `boxes` int64 [B, 4]: (top, left, height, width) of the
    part that the images now show, in source pixels after the flip. `flipped` bool [B]: mirrored left to right, before
    any crop.
    """

    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    flipped: NDArray[np.bool_]

    @classmethod
    def whole(cls, sizes: NDArray[np.int64]) -> ViewState:
        """The state before any step: whole images of `sizes`, not flipped."""
        import numpy as np

        return cls(sizes, np.concatenate([np.zeros_like(sizes), sizes], axis=1), np.zeros(len(sizes), dtype=np.bool_))

    def geometry(self) -> NDArray[np.float32]:
        """float32 [B, 6]: (top, left, height, width, flip, image width), what `GeometryInput` holds."""
        import numpy as np

        columns = [self.boxes, self.flipped[:, None], self.sizes[:, 1:]]
        return np.concatenate(columns, axis=1).astype(np.float32)


class Mask(Word):
    """Which tokens of a view are hidden from the encoder (True = hidden)."""

    kind: ClassVar[Kind] = "mask"
    tokens: Literal["drop", "mask"]
    """`drop`: hidden tokens do not enter the encoder. `mask`: a learned mask token replaces them."""

    @abstractmethod
    def hidden(self, grid: Grid, stride: int) -> int:
        """The exact number of hidden tokens, the same for every sample. Raises WordError if the mask cannot fit."""

    @abstractmethod
    def sample(self, draws: Draws, grid: Grid, stride: int) -> NDArray[np.bool_]:
        """bool [B, L], True = hidden, exactly `hidden(grid, stride)` True in each row."""


# --- encoders and predictors ------------------------------------------------------------------------------------------


class Predictor(Word):
    """f_psi: from the input representation to the prediction of the target representation.

    `pool` (an argument of the global ones: `mean` or `class`) says how tokens become one vector when the target is
    global; `needs_positions` predictors query positions, so they can predict hidden tokens and other views.
    """

    kind: ClassVar[Kind] = "predictor"
    queries: ClassVar[bool] = False
    """True: the module itself asks for the wanted positions (a decoder). False: it maps each token (or the pool)."""
    pools: ClassVar[bool] = False
    """True: the module takes tokens and returns one vector (attention pool)."""
    per_token: ClassVar[bool] = False
    """True: each token is mapped by itself, so that tokens nobody compares may be left out before (heads)."""

    def relative(self) -> bool:
        """Whether it can place a dense target of another view."""
        return False

    def trims(self) -> bool:
        """Whether it can end with the wanted positions only (`needed=True`), equal to rounding."""
        return False

    def output_width(self, wanted: int) -> int:
        """The width it yields when the target representation is `wanted` wide."""
        return wanted

    def check(self, shape: PredictorShape) -> None:
        """Raises WordError when it cannot be built for `shape`. Never imports torch."""
        return

    @abstractmethod
    def build(self, shape: PredictorShape) -> nn.Module: ...


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


class Encoder(Word):
    """f_theta or f_phi."""

    kind: ClassVar[Kind] = "encoder"
    modality: ClassVar[Literal["image", "text"]]

    @abstractmethod
    def build(self) -> nn.Module: ...


class ImageEncoder(Encoder):
    """An encoder that yields a dense grid of features."""

    modality = "image"
    projector: Predictor | None

    @abstractmethod
    def shape(self) -> FeatureShape:
        """Raises WordError (name unknown, patch does not divide the image, ...). Never imports torch."""

    def shape_at(self, size: tuple[int, int]) -> FeatureShape:
        """The shape of its features of images of another (height, width). Raises WordError when it cannot take them."""
        shape = self.shape()
        if size != shape.image:
            height, width = shape.image
            raise WordError("it takes images of one size", help=f"give the view {height}x{width} px")
        return shape

    @abstractmethod
    def drops_tokens(self) -> bool:
        """Whether hidden tokens may be dropped (a ViT), or only replaced by mask tokens (hierarchical)."""

    def embeds_visible(self) -> bool:
        """Whether it can embed the patches of visible tokens only (`embed="visible"`), equal to rounding."""
        return False

    def packs(self) -> bool:
        """Whether it takes images of several sizes in one call, as a tuple, equal to rounding to a call for each."""
        return False

    def isolates(self) -> bool:
        """Whether attention can be kept within the tokens of each image of a mix."""
        return False

    def couples_batch(self) -> bool:
        """Whether one sample's features depend on the others' (batch norm)."""
        return False

    def projected_width(self) -> int:
        """The width after the projector, or the encoder's own."""
        width = self.shape().width
        return width if self.projector is None else self.projector.output_width(width)


class TextEncoder(Encoder):
    """An encoder of token ids to one vector for each text."""

    modality = "text"
    width: int
    context: int

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other. Never imports torch."""
        return

    @abstractmethod
    def tokenize(self, texts: list[str], base: Path) -> NDArray[np.int64]:
        """int64 [B, context] token ids, 0 = padding. Pure."""

    @abstractmethod
    def vocabulary_size(self, base: Path) -> int: ...


# --- training ---------------------------------------------------------------------------------------------------------


class Optimizer(Word):
    """How parameters move."""

    kind: ClassVar[Kind] = "optimizer"

    @abstractmethod
    def build(self, module: nn.Module, batch: int) -> torch.optim.Optimizer:
        """Over the parameters of `module` that require gradients, in groups with and without weight decay; each group
        has `initial_lr`, the peak rate at global batch `batch`, already layer-decayed."""


class Schedule(Word):
    """The factor on the learning rate after warmup."""

    kind: ClassVar[Kind] = "schedule"

    @abstractmethod
    def factor(self, progress: float) -> float:
        """The factor in [0, 1] at `progress` in [0, 1] of the steps after warmup."""


class Evaluator(Word):
    """A measurement of a frozen encoder. The measuring itself is in `evaluation/<name>.py`."""

    kind: ClassVar[Kind] = "evaluator"
    needs: ClassVar[frozenset[Modality]] = frozenset({"category"})

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other."""
        return


# --- the columns of the instantiation table ---------------------------------------------------------------------------

Form = Literal["dense", "global", "prototypes", "categories", "texts"]
"""What a target representation is made of: L vectors, one vector, shares of prototypes, the rows of a class table, text
embeddings."""

Family = Literal["gaussian", "boltzmann"]
"""The paper's names for likelihood families."""

Candidates = Literal["samples", "prototypes", "categories", "texts"]
"""What a Boltzmann distribution is normalised over."""


class Mix(Word):
    """How several inputs become one (X = {x_1, ..., x_N}, encoded jointly)."""

    kind: ClassVar[Kind] = "mix"


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


class Weighting(Word):
    """How the targets of one objective are balanced."""

    kind: ClassVar[Kind] = "weighting"
    compares_gradients: ClassVar[bool] = False
    """Whether it takes the gradient of every loss at z_x, which must then be one value in every graph."""

    @abstractmethod
    def build(self, families: tuple[Family, ...], weights: tuple[float, ...]) -> nn.Module:
        """Module: (losses, shared z_x) -> (total, weights [K] detached)."""
