"""The typed program: a recipe in which every name is resolved and every value is bound to a word.

Takes: nothing (semantics/elaborate.py builds it). Gives: one frozen class for each thing a recipe declares.
Guarantees: no field is filled in later; every bound word keeps its span, the span of each argument, and which
arguments were written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from m3i_dsl.semantics.pattern import PAIR, Pattern
from m3i_dsl.semantics.placed import Placed
from m3i_dsl.semantics.training import EvaluationDeclaration, Training
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.kinds import (
    CANDIDATE_TOKENS,
    SAMPLES,
    Blend,
    Distribution,
    Encoder,
    FeatureShape,
    ImageEncoder,
    Mix,
    Modality,
    Predictor,
    Regularization,
    Representation,
    Source,
    TextEncoder,
    Transform,
    Weighting,
)
from m3i_dsl.vocabulary.kinds import Mask as MaskWord
from m3i_dsl.vocabulary.values import Duration, Ramp

Which = Literal["first", "second"]
"""Which image of a mix."""

Pairs = Literal["others", "same", "all"]
"""Which of several inputs predict a view: those of other views, that of the same view, or every one."""


class AnyData:
    """What views are of: one source, or a mixture of several."""

    __slots__ = ()
    name: str
    span: Span

    @property
    def place(self) -> Span:
        """Where its value is written."""
        raise NotImplementedError

    @property
    def fields(self) -> Mapping[str, Modality]:
        """What the fields that some sample has are, by name."""
        raise NotImplementedError

    @property
    def sources(self) -> tuple[Data, ...]:
        """Where its samples come from, in the order of the recipe."""
        raise NotImplementedError

    def having(self, name: str) -> tuple[Data, ...]:
        """The sources whose samples have a field."""
        return tuple(source for source in self.sources if name in source.fields)

    def is_whole(self, name: str) -> bool:
        """Whether every sample has a field."""
        return len(self.having(name)) == len(self.sources)


@dataclass(frozen=True, slots=True)
class Data(AnyData):
    """`data digits = embedded("digits")`."""

    name: str
    source: Placed[Source]
    span: Span

    @property
    def place(self) -> Span:
        return self.source.span

    @property
    def fields(self) -> Mapping[str, Modality]:
        return self.source.word.fields()

    @property
    def sources(self) -> tuple[Data, ...]:
        return (self,)


@dataclass(frozen=True, slots=True)
class Share:
    """`laion: 80%` in a mixture: `part` of every batch is of this source. `written` is as the recipe has it."""

    data: Data
    part: Fraction
    written: str
    span: Span


@dataclass(frozen=True, slots=True)
class Mixture(AnyData):
    """`data all = mixture(laion: 80%, imagenet: 20%)`: every batch has exactly these shares, whose parts sum to 1.

    Its fields are those of its sources. The samples that have a field are those of the sources that have it, always the
    same rows of a batch, so a target on the field is one of these rows.
    """

    name: str
    shares: tuple[Share, ...]
    value: Span
    span: Span

    @property
    def place(self) -> Span:
        return self.value

    @property
    def fields(self) -> Mapping[str, Modality]:
        return {name: modality for source in self.sources for name, modality in source.fields.items()}

    @property
    def sources(self) -> tuple[Data, ...]:
        return tuple(share.data for share in self.shares)

    def text(self) -> str:
        """Its value as a recipe writes it."""
        return f"mixture({', '.join(f'{share.data.name}: {share.written}' for share in self.shares)})"

    @property
    def pattern(self) -> Pattern:
        """Which rows of a batch are of which source."""
        return Pattern.of({share.data.name: share.part for share in self.shares})


def parts_of(data: AnyData, batch: int) -> tuple[tuple[Data, int], ...]:
    """The sources of `data`, each with its rows of a batch."""
    if isinstance(data, Mixture):
        return tuple((share.data, int(share.part * batch)) for share in data.shares)
    return tuple((source, batch) for source in data.sources)


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Which view of a list: `index` of the `count` views called `name`."""

    name: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class View:
    """`view view1 of digits.image = crop(32px) | flip`; `size` is the (height, width) that it yields.

    A view of a list is called `local[0]`, and `place` says where it is in it.
    """

    name: str
    data: AnyData
    field: str
    transforms: tuple[Placed[Transform], ...]
    size: tuple[int, int]
    span: Span
    place: ListPlace | None = None

    @property
    def identifier(self) -> str:
        """The name with letters, digits and `_` only: `local_0`."""
        return self.name if self.place is None else f"{self.place.name}_{self.place.index}"

    @property
    def declared_as(self) -> str:
        """What the recipe declares it as: its own name, or that of its list."""
        return self.name if self.place is None else self.place.name


@dataclass(frozen=True, slots=True)
class ViewList:
    """`views local[8] of digits.image = crop(16px)`: views drawn independently, in the order of their numbers."""

    name: str
    views: tuple[View, ...]
    span: Span
    count_span: Span


@dataclass(frozen=True, slots=True)
class EncoderDeclaration:
    """`encoder image = timm(...)`, or `ema of image(...)`: then `of` is the name of the averaged encoder and `word`
    its word.

    `frozen` encoders run without gradient and never move; averaged ones (`momentum` is not None) follow `of`.
    """

    name: str
    word: Placed[Encoder]
    of: str | None
    momentum: Ramp | None
    frozen: bool
    weights: str | None
    span: Span
    start: str | None = None
    """The encoder whose weights, as an earlier stage left them, it starts from."""
    over: Duration | None = None
    """How long the ramp of `momentum` takes; None: all of training."""

    @property
    def trained(self) -> bool:
        return self.momentum is None and not self.frozen

    def averages(self, encoder: EncoderDeclaration) -> bool:
        """Whether this one is the average of `encoder`, which it equals but for a lag."""
        return self.momentum is not None and self.of == encoder.name

    @property
    def image(self) -> ImageEncoder:
        """The word of an encoder that the checker knows to be of images."""
        word = self.word.word.as_image()
        assert word is not None, f"`{self.name}` encodes no images"
        return word

    @property
    def text(self) -> TextEncoder:
        """The word of an encoder that the checker knows to be of texts."""
        word = self.word.word.as_text()
        assert word is not None, f"`{self.name}` encodes no texts"
        return word

    def shape_of(self, shown: View | TextField) -> FeatureShape:
        """What it makes of an input. Raises WordError for a view that it cannot take."""
        return self.text.token_shape() if isinstance(shown, TextField) else self.image.shape_at(shown.size)


@dataclass(frozen=True, slots=True)
class TextField:
    """`text` in `input`: the field of a data as what an encoder of texts is shown."""

    name: str
    data: AnyData
    field: str
    span: Span
    place: ListPlace | None = None
    """None: there are no lists of texts."""

    @property
    def declared_as(self) -> str:
        """What a recipe calls it."""
        return self.name


@dataclass(frozen=True, slots=True)
class InputReference:
    """`masked view1 of first by random(75%)`, `mixed view1 by blend` or `masked text by tokens(15%)` in `input`."""

    view: View | TextField
    which: Which | None
    masked: bool
    mask: Placed[MaskWord] | None
    span: Span
    blend: Placed[Blend] | None = None

    def shows(self, reference: TargetReference) -> bool:
        """Whether a target is of the very view or text that it shows."""
        if isinstance(self.view, TextField):
            return reference.view is None and reference.field == self.view.field
        return reference.view is self.view


@dataclass(frozen=True, slots=True)
class TargetReference:
    """`view1`, `view1 of first`, `text of second`, `category` in a target's `data`: `view` is None for a plain
    field.
    """

    view: View | None
    field: str
    modality: Modality
    which: Which | None
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the instantiation table."""

    name: str
    data: tuple[TargetReference, ...]
    representation: Placed[Representation]
    encoder: EncoderDeclaration | None
    predictor: Placed[Predictor]
    regularizations: tuple[Placed[Regularization], ...]
    distribution: Placed[Distribution]
    weight: float
    weight_span: Span
    span: Span
    settings: Mapping[str, Span]
    """The span of each setting's value, by keyword."""
    pairs: Pairs = "others"

    @property
    def projected(self) -> bool:
        """Whether z_y goes through the encoder's projector if it has one."""
        return self.representation.word.projects()

    @property
    def detached(self) -> bool:
        """Whether z_y enters the loss without gradient."""
        return any(placed.word.detaches for placed in self.regularizations)

    @property
    def compares_samples(self) -> bool:
        """Whether other samples are among its candidates."""
        return any(placed.word.candidates == SAMPLES for placed in self.regularizations)

    @property
    def queue(self) -> int:
        """How many earlier targets are its only negatives; 0 without a queue."""
        return max((placed.word.queue_length() for placed in self.regularizations), default=0)

    @property
    def chooses_among_predictions(self) -> bool:
        """Whether the predictions of other samples are among its candidates."""
        return any(placed.word.chooses_among_predictions() for placed in self.regularizations)

    @property
    def candidate_tokens(self) -> int:
        """How many tokens of each image are candidates of a dense target."""
        named = (placed.word.candidate_tokens() for placed in self.regularizations)
        return next((tokens for tokens in named if tokens is not None), CANDIDATE_TOKENS)


@dataclass(frozen=True, slots=True)
class Objective:
    """`objective m3i { ... }`."""

    name: str
    inputs: tuple[InputReference, ...]
    mix: Placed[Mix] | None
    represent: Placed[Representation]
    encoder: EncoderDeclaration
    targets: tuple[Target, ...]
    weighting: Placed[Weighting]
    symmetric: bool
    span: Span
    settings: Mapping[str, Span]

    @property
    def pairs_images(self) -> Placed[Mix] | Placed[Blend] | None:
        """What makes one input of image 2k and image 2k + 1 of a batch."""
        return self.mix or next((shown.blend for shown in self.inputs if shown.blend is not None), None)

    @property
    def of_texts(self) -> bool:
        """Whether the input is a text."""
        return isinstance(self.inputs[0].view, TextField)

    @property
    def shape(self) -> FeatureShape:
        """What its encoder makes of a text, or of an image of the encoder's own size."""
        return self.encoder.text.token_shape() if self.of_texts else self.encoder.image.shape()

    def width(self, projected: bool) -> int:
        """The channels that a predictor is given."""
        image = self.encoder.word.word.as_image()
        return image.projected_width() if projected and image is not None else self.shape.width

    @property
    def projector(self) -> Predictor | None:
        """What its encoder's features can go through."""
        image = self.encoder.word.word.as_image()
        return None if image is None else image.projector

    @property
    def several(self) -> bool:
        """Whether several views are encoded, each by itself, and each predicts the targets of the other views."""
        return self.mix is None and len(self.inputs) > 1

    def predictors_of(self, target: Target, reference: TargetReference) -> tuple[InputReference, ...]:
        """The inputs that predict one of a target's data: the one that shows its image, or of several those that
        `pairs` names.
        """
        if not self.several:
            return (self.input_of(reference.which),)
        if reference.view is None or target.pairs == "all":
            return self.inputs
        same = target.pairs == "same"
        return tuple(shown for shown in self.inputs if (shown.view is reference.view) == same)

    def hides(self, shown: InputReference) -> Placed[MaskWord] | Placed[Mix] | None:
        """What keeps tokens of an input from the encoder: the mix, or the input's own mask."""
        return shown.mask if self.mix is None else self.mix

    @property
    def masked(self) -> bool:
        """Whether tokens of some input are hidden."""
        return any(self.hides(shown) is not None for shown in self.inputs)

    def input_of(self, which: Which | None) -> InputReference:
        """The input that shows the `which` image (the only one without a mix)."""
        return next((reference for reference in self.inputs if reference.which == which), self.inputs[0])


@dataclass(frozen=True, slots=True)
class Program:
    """A whole recipe, or one stage of it. `parameters` are its `param`s by name, with the text of the value in force.

    `data` are its sources, also those that are only read as a part of one of the `mixtures`. One `stage` of a recipe
    is a whole program; it has what the stage reads.
    """

    name: str
    file: SourceFile
    parameters: Mapping[str, str]
    data: Mapping[str, Data]
    views: Mapping[str, View]
    encoders: Mapping[str, EncoderDeclaration]
    objectives: tuple[Objective, ...]
    training: Training
    evaluations: tuple[EvaluationDeclaration, ...]
    span: Span
    mixtures: Mapping[str, Mixture] = field(default_factory=dict[str, Mixture])
    stage: str | None = None

    @property
    def seed(self) -> int:
        """What all random numbers start from: the recipe's seed, in a stage mixed with the name of the stage."""
        seed = self.training.seed
        if self.stage is None:
            return seed
        from m3i_dsl.vocabulary.draws import key_of  # only training and stages draw

        return key_of(f"{seed}\0stage\0{self.stage}")

    @property
    def shown(self) -> frozenset[str]:
        """The data that encoders are shown: those of views and of texts that are inputs."""
        texts = {shown.view.data.name for objective in self.objectives for shown in objective.inputs}
        return frozenset({view.data.name for view in self.views.values()} | texts)

    @property
    def of_images(self) -> Objective | None:
        """The first objective whose input are images: what it trains is measured."""
        return next((objective for objective in self.objectives if not objective.of_texts), None)

    @property
    def unit(self) -> int:
        """Rows of a batch that stay together: processes and microbatches of a step have whole multiples of so many.

        The pairs of a mix, and the period of a mixture.
        """
        pairs = PAIR if any(objective.pairs_images for objective in self.objectives) else 1
        read = self.shown
        return math.lcm(pairs, *(m.pattern.period for m in self.mixtures.values() if m.name in read))

    @property
    def unit_name(self) -> str:
        """Several units, in a message."""
        if self.unit == 1:
            return "samples"
        return (
            "pairs of samples that are mixed" if self.unit == PAIR else f"periods of {self.unit} samples of the mixture"
        )

    def can_share(self, count: int) -> bool:
        """Whether `count` processes, or microbatches of a step, can have equally many whole units of a batch."""
        return self.training.batch % (count * self.unit) == 0

    def possible_shares(self) -> tuple[int, ...]:
        """How many processes or microbatches can share a batch."""
        return tuple(count for count in range(1, self.training.batch // self.unit + 1) if self.can_share(count))
