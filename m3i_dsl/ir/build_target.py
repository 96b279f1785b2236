"""One row of the instantiation table as equations.

Takes: a target of an objective. Gives: -log P^(z_y | zh), from views to a scalar, in the order of the table's columns:
input, input representation, target representation, prediction, regularization, distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, overload

from m3i_dsl.ir.build_parts import PartsBuilder, image_encoder, projector, text_encoder
from m3i_dsl.ir.graph import Value
from m3i_dsl.ir.trace import Trace
from m3i_dsl.semantics.geometry import target_grid
from m3i_dsl.semantics.program import (
    AnyData,
    EncoderDeclaration,
    InputReference,
    Objective,
    Target,
    TargetReference,
    View,
    Which,
)
from m3i_dsl.vocabulary.kinds import CATEGORIES, TEXTS, FeatureShape, Grid
from m3i_dsl.vocabulary.representations.category_embedding import CategoryEmbedding
from m3i_dsl.vocabulary.representations.dense_feature import DenseFeature
from m3i_dsl.vocabulary.representations.dense_pixels import DensePixels
from m3i_dsl.vocabulary.representations.global_feature import GlobalFeature
from m3i_dsl.vocabulary.representations.prototype_distribution import PrototypeDistribution

Direction = Literal["forward", "backward"]
"""`backward` swaps the input view and the target view of a symmetric objective."""


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What a predictor is given: features [B, P + N, D], and where the N tokens are.

    `hidden` are the positions of the input grid at which no token is (None: all are present); `source` marks the own
    tokens among those of both images of a mix; `masked` are the positions that the encoder did not see of this image.
    """

    features: Value
    hidden: Value | None
    source: Value | None
    masked: Value | None
    masked_count: int


class TargetBuilder:
    """Writes the equations of one target.

    Shares of prototypes are made of all views of a target together, before its first loss: a running mean moves once a
    step, after every view was centred.

    Once a loss has been built, `input_representation` is z_x and `target_tokens` all tokens of a dense feature target,
    before they are matched or normalised.
    """

    def __init__(self, trace: Trace, objective: Objective, target: Target) -> None:
        self.trace = trace
        self.parts = PartsBuilder(trace, one_input=objective.weighting.word.compares_gradients)
        self.objective = objective
        self.target = target
        self.role = f"{objective.name}.{target.name}"
        self.name = f"{objective.name}_{target.name}"
        self.input_representation: Value | None = None
        self.target_tokens: Value | None = None
        self.monitored = False
        self._shares: dict[tuple[str, Which | None], Value] = {}

    @property
    def shape(self) -> FeatureShape:
        return image_encoder(self.objective.encoder).shape()

    # --- the columns --------------------------------------------------------------------------------------------------

    def loss(self, reference: TargetReference, shown: InputReference, direction: Direction) -> Value:
        """The loss of this target on one of its data, predicted from the input `shown`."""
        input_, target_view = self._views(reference, shown, direction)
        tokens = self._input(input_, reference)
        wanted, wanted_count = self._wanted(tokens)
        target = self._target_representation(reference, target_view, wanted, wanted_count, tokens)
        prediction = self._prediction(tokens, input_, target_view, wanted, wanted_count, target, reference)
        prediction, target = self._regularized(prediction, target)
        loss = self._distribution(prediction, target, reference)
        if self.objective.several and self.monitored:
            return loss  # one pair stands for all
        self.monitored = True
        suffix = "" if reference.which in (None, "first") or len(self.target.data) == 1 else "/second"
        suffix += "/backward" if direction == "backward" else ""
        self.trace.output(f"representations/{self.role}/prediction{suffix}", prediction)
        self.trace.output(f"representations/{self.role}/target{suffix}", target)
        return loss

    def _views(
        self, reference: TargetReference, input_: InputReference, direction: Direction
    ) -> tuple[InputReference, View | None]:
        if direction == "forward":
            return input_, reference.view
        other = next(r.view for target in self.objective.targets for r in target.data if r.view is not None)
        swapped = InputReference(other, input_.which, input_.masked, input_.mask, input_.span)
        return swapped, input_.view if reference.view is not None else None

    def _input(self, input_: InputReference, reference: TargetReference) -> _Tokens:
        """z_x and where its tokens are, for the image that `reference` is about."""
        objective = self.objective
        with self.trace.at(objective.settings["input"]):
            if objective.mix is None:
                return self._single_input(input_)
            first, second = (self.parts.view(reference.view) for reference in objective.inputs)
            count = objective.mix.word.by.hidden(self.shape.grid, self.shape.stride)
            hidden = self.parts.mask(
                objective.mix.word.by, objective.inputs[0].view, self.shape, f"{objective.name}/mix"
            )
            grid = self.shape.grid
            image = self.trace.one(
                "blend", first, self.trace.one("partner", second), hidden, rows=grid.rows, columns=grid.columns
            )
            isolate = hidden if objective.mix.word.attention == "isolated" else None
            features = self.parts.encode(objective.encoder, image, isolate=isolate)
            self.input_representation = features
            if reference.which == "second":
                hidden, count = self.trace.one("invert", hidden), grid.tokens - count
            own = self.trace.one("invert", hidden)
            if objective.mix.word.context == "all":
                return _Tokens(features, None, own, hidden, count)
            prefix = self.shape.prefix
            features = self.trace.one("gather", features, own, count=grid.tokens - count, prefix=prefix)
            return _Tokens(features, hidden, None, hidden, count)

    def _single_input(self, input_: InputReference) -> _Tokens:
        image = self.parts.view(input_.view)
        if input_.mask is None:
            self.input_representation = self.parts.encode(self.objective.encoder, image)
            return _Tokens(self.input_representation, None, None, None, 0)
        mask = input_.mask.word
        count = mask.hidden(self.shape.grid, self.shape.stride)
        hidden = self.parts.mask(mask, input_.view, self.shape, f"{input_.view.name}/mask/{mask.text()}")
        features = self.parts.encode(self.objective.encoder, image, mask=mask, hidden=hidden)
        self.input_representation = features
        return _Tokens(features, hidden if mask.tokens == "drop" else None, None, hidden, count)

    def _wanted(self, tokens: _Tokens) -> tuple[Value | None, int]:
        """The target positions that count, or None and L when all do."""
        if self.target.representation.word.has_grid and self.target.distribution.word.hidden_only():
            assert tokens.masked is not None, "the checker requires a mask for `tokens: hidden`"
            return tokens.masked, tokens.masked_count
        grid = target_grid(self.objective, self.target)
        return None, (grid or self.shape.grid).tokens

    def _target_representation(
        self,
        reference: TargetReference,
        view: View | None,
        wanted: Value | None,
        wanted_count: int,
        tokens: _Tokens,
    ) -> Value:
        """z_y, aligned with the prediction: for the partner's image, at the wanted positions, normalised."""
        word = self.target.representation.word
        with self.trace.at(self.target.settings["representation"]):
            match word:
                case DenseFeature() | GlobalFeature():
                    assert view is not None and self.target.encoder is not None
                    target = self._feature(word, self.target.encoder, view, reference, tokens)
                case PrototypeDistribution():
                    assert view is not None
                    return self._shares_of(word, view, reference.which)
                case DensePixels():
                    assert view is not None
                    grid = self._target_grid()
                    target = self.trace.one(
                        "patchify",
                        self.parts.view(view),
                        rows=grid.rows,
                        columns=grid.columns,
                        normalize=word.normalize,
                    )
                    target = self.parts.partnered(target, reference.which)
                case CategoryEmbedding():
                    return self._table(word, reference)
                case _:
                    return self._text(reference)
            if wanted is not None:
                target = self.trace.one("gather", target, wanted, count=wanted_count, prefix=0)
            return target

    def _prediction(
        self,
        tokens: _Tokens,
        input_: InputReference,
        target_view: View | None,
        wanted: Value | None,
        wanted_count: int,
        target: Value,
        reference: TargetReference,
    ) -> Value:
        """zh = f_psi(z_x, t_x, t_y), with the shape of z_y: of the samples that have the target's field."""
        word = self.target.predictor.word
        dense = self.target.representation.word.has_grid
        with self.trace.at(self.target.predictor.span):
            features = tokens.features
            pooled = not dense and not word.pools
            if pooled:
                features = self.trace.one("pool", features, prefix=self.shape.prefix, mode=word.pooling())
            features = self._having(features, reference)
            if self._projects():
                features = self.parts.project(self.objective.encoder, features)
            self._predictor_module(features, target, wanted_count, tokens)
            arguments: list[Value | None] = [features]
            kind = "tokens"
            if word.queries and dense:
                geometry: list[Value | None] = [None, None]
                if word.relative() and target_view is not None and target_view is not input_.view:
                    geometry = [self.parts.geometry(view, input_.which) for view in (input_.view, target_view)]
                arguments = [features, tokens.hidden, wanted, tokens.source, *geometry]
                kind = "queries"
            elif not dense and word.pools:
                hidden, source = (self._having(value, reference) for value in (tokens.hidden, tokens.source))
                arguments = [features, hidden, None, source, None, None]
                kind = "pooled"
            # A predictor is run once on each input, whatever number of the target's data it is compared with.
            call = self.trace.once if self.objective.several else self.trace.call
            prediction = call("predict", *arguments, module=self.name, form=kind, needed=False, shared=False)[0]
            if dense and not word.queries:
                prediction = self.trace.one("patches", prediction, prefix=self.shape.prefix)
                if wanted is not None:
                    prediction = self.trace.one("gather", prediction, wanted, count=wanted_count, prefix=0)
            return prediction

    def _regularized(self, prediction: Value, target: Value) -> tuple[Value, Value]:
        """Normalisation, standardisation and stop gradient."""
        word = self.target.representation.word
        normalize = word.normalization()
        if normalize != "none":
            with self.trace.at(self.target.settings["representation"]):
                target = self.trace.one("normalize", target, by=normalize)
                if normalize == "l2":
                    prediction = self.trace.one("normalize", prediction, by="l2")
        with self.trace.at(self.target.settings["regularization"]):
            if any(placed.word.standardizes for placed in self.target.regularizations):
                prediction = self.trace.one("normalize", prediction, by="batch")
                target = self.trace.one("normalize", target, by="batch")
            if not word.assigned and self.target.detached:
                target = self.trace.one("stop_gradient", target)
        return prediction, target

    def _distribution(self, prediction: Value, target: Value, reference: TargetReference) -> Value:
        """-log P^(z_y | zh) plus the terms that regularizations add."""
        word = self.target.distribution.word
        representation = self.target.representation.word
        candidates = candidates_of(self.target)
        with self.trace.at(self.target.distribution.span):
            self.trace.module(
                "likelihoods",
                self.name,
                word,
                self.target.distribution.span,
                candidates=candidates or "none",
                width=int(target.type.dimensions[-1]),
                queue=self.target.queue,
                tokens=self.target.candidate_tokens,
                standardized=any(placed.word.standardizes for placed in self.target.regularizations),
            )
            bias = labels = None
            keys = self.target_tokens if representation.has_grid and self.target.queue else None
            if representation.candidates == CATEGORIES:
                bias = self._bias()
                labels = self.parts.partnered(
                    self.parts.categories(self._data(reference), reference.field), reference.which
                )
            elif representation.candidates == TEXTS:
                assert self.target.encoder is not None
                labels = self.parts.tokens(self._data(reference), reference.field, self.target.encoder)
            loss = self.trace.one(
                "likelihood",
                prediction,
                target,
                bias,
                labels,
                keys,
                module=self.name,
                partnered=reference.which == "second",
            )
        terms = [loss]
        for index, placed in enumerate(self.target.regularizations):
            if placed.word.penalizes:
                name = f"{self.name}_{index}"
                with self.trace.at(placed.span):
                    self.trace.module("penalties", name, placed.word, placed.span)
                    terms.append(self.trace.one("penalty", prediction, target, module=name))
        return terms[0] if len(terms) == 1 else self.trace.one("add", *terms)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _feature(
        self,
        word: DenseFeature | GlobalFeature,
        encoder: EncoderDeclaration,
        view: View,
        reference: TargetReference,
        tokens: _Tokens,
    ) -> Value:
        shape = image_encoder(encoder).shape()
        layers = word.blocks()
        features = self.parts.encode(encoder, self.parts.view(view), taps=layers if layers > 1 else 0)
        if layers > 1:
            features = self.trace.one("average_layers", features, last=layers)
        unprojected = features
        projects = word.projected and projector(encoder) is not None
        if not word.has_grid:
            features = self.trace.one("pool", features, prefix=shape.prefix, mode=word.pooling() or "mean")
        if projects:
            features = self.parts.project(encoder, features)
        if not word.has_grid:
            return self.parts.partnered(features, reference.which)
        self.target_tokens = features = self.trace.one("patches", features, prefix=shape.prefix)
        if word.matches():
            own = self.trace.one("patches", tokens.features, prefix=self.shape.prefix)
            other = self.trace.one("patches", unprojected, prefix=shape.prefix)
            features = self.trace.one("match", features, own, other)
        return self.parts.partnered(features, reference.which)

    def _shares_of(self, word: PrototypeDistribution, view: View, which: Which | None) -> Value:
        """z_y over prototypes [B, K]. The regularization sees the scores of all views of this target at once."""
        if not self._shares:
            directions: tuple[Direction, ...] = ("forward", "backward") if self.objective.symmetric else ("forward",)
            compared: list[tuple[View | None, Which | None]] = [
                (self._views(reference, shown, direction)[1], reference.which)
                for direction in directions
                for reference in self.target.data
                for shown in self.objective.predictors_of(reference)
            ]
            seen: dict[tuple[str, Which | None], View] = {
                (other.name, side): other for other, side in compared if other is not None
            }
            scores = {key: self._scores(word, other, key[1]) for key, other in seen.items()}
            assigned = tuple(scores.values())
            if self.target.detached:
                with self.trace.at(self.target.settings["regularization"]):
                    assigned = tuple(self.trace.one("stop_gradient", each) for each in assigned)
            assigning = [placed for placed in self.target.regularizations if placed.word.assigns]
            for index, placed in enumerate(sorted(assigning, key=lambda placed: placed.word.makes_shares)):
                name = f"{self.name}_{index}"
                with self.trace.at(placed.span):
                    width = int(assigned[0].type.dimensions[-1])
                    self.trace.module("assignments", name, placed.word, placed.span, width=width)
                    assigned = self.trace.call("assign", *assigned, module=name)
            self._shares = dict(zip(scores, assigned, strict=True))
        return self._shares[view.name, which]

    def _scores(self, word: PrototypeDistribution, view: View, which: Which | None) -> Value:
        """[B, K]: the projected feature of `view` against each prototype."""
        encoder = self.target.encoder
        assert encoder is not None
        features = self.parts.encode(encoder, self.parts.view(view))
        features = self.trace.one("pool", features, prefix=image_encoder(encoder).shape().prefix, mode=word.pool)
        return self.parts.partnered(self.parts.project(encoder, features), which)

    def _projects(self) -> bool:
        """Whether the prediction starts from projected features: when z_y is projected, so is z_x."""
        return self.target.projected and projector(self.objective.encoder) is not None

    def _target_grid(self) -> Grid:
        grid = target_grid(self.objective, self.target)
        assert grid is not None, "only a dense target has a grid"
        return grid

    def _table(self, word: CategoryEmbedding, reference: TargetReference) -> Value:
        width = word.size or self._default_width()
        self.trace.module(
            "representations",
            self.name,
            word,
            self.target.representation.span,
            input_width=0,
            output_width=width,
            data=self._data(reference).name,
        )
        return self.trace.call("table", module=self.name)[0]

    def _default_width(self) -> int:
        """The width of the predictor's input, which a class table without `size` takes."""
        return self.target.predictor.word.output_width(self.shape.width, 0)

    def _bias(self) -> Value:
        return self.trace.call("table", module=self.name)[1]

    @overload
    def _having(self, value: Value, reference: TargetReference) -> Value: ...
    @overload
    def _having(self, value: Value | None, reference: TargetReference) -> Value | None: ...
    def _having(self, value: Value | None, reference: TargetReference) -> Value | None:
        """The rows of a value [B, ...] whose samples have the field; views are of all."""
        if value is None or reference.view is not None:
            return value
        with self.trace.at(reference.span):
            return self.parts.having(value, self._data(reference), reference.field)

    def _data(self, reference: TargetReference) -> AnyData:
        return self.objective.input_of(reference.which).view.data

    def _text(self, reference: TargetReference) -> Value:
        encoder = self.target.encoder
        assert encoder is not None
        word = text_encoder(encoder)
        representation = self.target.representation
        width = representation.word.width(word, 0)
        widths = {"input_width": word.width, "output_width": width}
        self.trace.module("representations", self.name, representation.word, representation.span, **widths)
        text = self.parts.encode_text(encoder, self.parts.tokens(self._data(reference), reference.field, encoder))
        return self.trace.one("embed", text, module=self.name)

    def _predictor_module(self, features: Value, target: Value, wanted_count: int, tokens: _Tokens) -> None:
        placed = self.target.predictor
        shape = self.shape
        grid = target_grid(self.objective, self.target)
        input_width, wanted_width = int(features.type.dimensions[-1]), int(target.type.dimensions[-1])
        self.trace.module(
            "predictors",
            self.name,
            placed.word,
            placed.span,
            input_width=input_width,
            output_width=placed.word.output_width(input_width, wanted_width),
            prefix=shape.prefix,
            rows=shape.grid.rows,
            columns=shape.grid.columns,
            target_rows=grid.rows if grid else 0,
            target_columns=grid.columns if grid else 0,
            wanted=wanted_count,
            sources=2 if tokens.source is not None else 1,
        )


def candidates_of(target: Target) -> str | None:
    """The candidate set of a contrastive distribution: what the regularization names, or the form of the target.

    `boltzmann` with `stop gradient` alone (the table's Global Distillation row) is normalised over the batch's targets.
    """
    if not target.distribution.word.contrasts:
        return None
    named = [p.word.candidates for p in target.regularizations if p.word.candidates is not None]
    return (named[0] if named else target.representation.word.candidates).name
