"""One row of the instantiation table as equations.

Takes: a target of an objective. Gives: -log P^(z_y | zh), from views to a scalar, in the order of the table's columns:
input, input representation, target representation, prediction, regularization, distribution. Siblings: build_input.py,
the first two; target_parts.py, what a representation is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from m3i_dsl.ir.build_input import Masked, Seen, seen_input
from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.graph import Value
from m3i_dsl.ir.target_parts import Scores, TargetValues
from m3i_dsl.semantics.geometry import projects, target_grid, tokenizes
from m3i_dsl.semantics.program import InputReference, Objective, Target, TargetReference, View, Which
from m3i_dsl.vocabulary.kinds import Regularization

Direction = Literal["forward", "backward"]
"""`backward` swaps the input view and the target view of a symmetric objective."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and its target as they are compared, normalised and detached. `values` are what the target was made
    of, `seen` what the prediction was.
    """

    prediction: Value
    target: Value
    seen: Seen
    values: TargetValues


class TargetBuilder:
    """Writes the equations of one target.

    Shares of prototypes are made of all views of a target together, before its first loss: a running mean moves once a
    step, after every view was centred.
    """

    def __init__(self, parts: PartsBuilder, objective: Objective, target: Target) -> None:
        self.trace, self.parts = parts.trace, parts
        self.objective = objective
        self.target = target
        self.role = f"{objective.name}.{target.name}"
        self.name = f"{objective.name}_{target.name}"
        self.monitored = False
        self._shares: dict[tuple[str, Which | None], Value] = {}
        self._picked_before = False
        self._predictions: dict[str, Value] = {}
        self._inputs: dict[str, Seen] = {}

    # --- the columns --------------------------------------------------------------------------------------------------

    def loss(self, reference: TargetReference, shown: InputReference, direction: Direction) -> tuple[Value, Seen]:
        """The loss of this target on one of its data, predicted from the input `shown`, and what was seen of that."""
        pair = self.pair(reference, shown, direction)
        self._predictions[pair.prediction.name] = pair.prediction
        loss = self._distribution(pair)
        if self.objective.several and self.monitored:
            return loss, pair.seen  # one pair stands for all
        self.monitored = True
        suffix = "" if reference.which in (None, "first") or len(self.target.data) == 1 else "/second"
        suffix += "/backward" if direction == "backward" else ""
        self.trace.output(f"representations/{self.role}/prediction{suffix}", pair.prediction)
        self.trace.output(f"representations/{self.role}/target{suffix}", pair.target)
        return loss, pair.seen

    def pair(self, reference: TargetReference, shown: InputReference, direction: Direction = "forward") -> Pair:
        """The prediction from the input `shown` and the target that it is compared with."""
        input_, view = self._views(reference, shown, direction)
        seen = seen_input(self.parts, self.objective, input_, reference.which)
        self._inputs[input_.view.name] = seen
        wanted = self._wanted(seen)
        values = self._values(reference, view, seen, wanted)
        with self.trace.at(self.target.settings["representation"]):
            target = self.target.representation.word.target(values)
        prediction = self._prediction(seen, input_, view, wanted, int(target.type.dimensions[-1]), reference)
        return Pair(*self._regularized(prediction, target), seen, values)

    def _views(
        self, reference: TargetReference, input_: InputReference, direction: Direction
    ) -> tuple[InputReference, View | None]:
        if direction == "forward":
            return input_, reference.view
        other = next(r.view for target in self.objective.targets for r in target.data if r.view is not None)
        assert isinstance(input_.view, View), "a text has no other side"
        return replace(input_, view=other), input_.view if reference.view is not None else None

    def _wanted(self, seen: Seen) -> Masked | None:
        """The target positions that count, or None when all do."""
        if not self.target.representation.word.has_grid:
            return None
        if not self.target.distribution.word.hidden_only():
            if seen.tokens is None:
                return None
            return Masked(self.trace.one("real_tokens", seen.tokens), seen.shape.grid.tokens, varies=True)
        assert seen.masked is not None, "the checker requires a mask for `tokens: hidden`"
        return seen.masked

    def _values(
        self, reference: TargetReference, view: View | None, seen: Seen | None = None, wanted: Masked | None = None
    ) -> TargetValues:
        """What the representation makes z_y of: one view or field of this target."""
        return TargetValues(
            self.parts, self.objective, self.target, reference, view, seen=seen, wanted=wanted, assigned=self._shares_of
        )

    def _prediction(
        self,
        seen: Seen,
        input_: InputReference,
        view: View | None,
        wanted: Masked | None,
        width: int,
        reference: TargetReference,
    ) -> Value:
        """zh = f_psi(z_x, t_x, t_y), with the shape of z_y: of the samples that have the target's field."""
        word, prefix = self.target.predictor.word, seen.shape.prefix
        with self.trace.at(self.target.predictor.span):
            if self.target.representation.word.has_grid:
                return self._dense(seen, input_, view, wanted, width)
            features = seen.features
            if seen.tokens is not None:
                features = self.trace.one("pool_text", features, seen.tokens, mode=self.objective.encoder.text.pool)
            elif not word.pools:
                features = self.trace.one("pool", features, prefix=prefix, mode=word.pooling())
            features = self._projected(self._having(features, reference))
            self._declare(features, width)
            if not word.pools:
                return self._once("predict", features)
            source = seen.source and self._having(seen.source, reference)
            return self._once("predict_pooled", features, source, prefix=prefix)

    def _dense(self, seen: Seen, input_: InputReference, view: View | None, wanted: Masked | None, width: int) -> Value:
        """A prediction for each wanted token of the target."""
        word, shape = self.target.predictor.word, seen.shape
        features, prefix = seen.features, shape.prefix
        if tokenizes(self.objective):  # codes are of the tokens of the grid
            features, prefix = self.trace.one("patches", features, prefix=prefix), 0
        features = self._projected(features)
        self._declare(features, width)
        prefixed = self.target.representation.word.keeps_prefix()
        if not word.queries:
            tokens = self._once("predict", features)
            if prefixed:
                return tokens
            tokens = self.trace.one("patches", tokens, prefix=prefix)
            if wanted is None:
                return tokens
            return self.trace.one("gather", tokens, wanted.which, count=wanted.count, prefix=0)
        grid = target_grid(self.objective, self.target, view)
        assert grid is not None, "a dense target has a grid"
        geometry: list[Value | None] = [None, None]
        shown = input_.view
        if word.relative() and view is not None and view is not shown and isinstance(shown, View):
            geometry = [self.parts.geometry(each, input_.which) for each in (shown, view)]
        return self._once(
            "predict_at",
            features,
            seen.hidden,
            wanted and wanted.which,
            seen.source,
            *geometry,
            prefix=prefix,
            rows=shape.grid.rows,
            columns=shape.grid.columns,
            target_rows=grid.rows,
            target_columns=grid.columns,
            count=grid.tokens if wanted is None else wanted.count,
            needed=False,
            shared=False,
            prefixed=prefixed,
        )

    def _once(self, operation: str, *arguments: Value | None, **attributes: int | bool) -> Value:
        """A predictor is run once on each of several inputs, whatever number of targets it is compared with."""
        call = self.trace.once if self.objective.several else self.trace.call
        return call(operation, *arguments, module=self.name, **attributes)[0]

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

    def _distribution(self, pair: Pair) -> Value:
        """-log P^(z_y | zh) plus the terms that regularizations add."""
        prediction, target = pair.prediction, pair.target
        with self.trace.at(self.target.distribution.span):
            loss = self.target.representation.word.compared(pair.values, prediction, target)
        terms = [loss]
        for index, placed in enumerate(self.target.regularizations):
            if placed.word.penalizes:
                name = f"{self.name}_{index}"
                with self.trace.at(placed.span):
                    self.trace.module("penalties", name, placed.word, placed.span)
                    terms.append(self.trace.one("penalty", prediction, target, module=name))
        return terms[0] if len(terms) == 1 else self.trace.one("add", *terms)

    def joint(self) -> list[Value]:
        """The terms that regularizations add once, of all predictions together or of inputs; after the losses."""
        found: list[Value] = []
        for index, placed in enumerate(self.target.regularizations):
            if not placed.word.joint:
                continue
            name, temperature = f"{self.name}_{index}", self.target.distribution.word.softmax_temperature()
            assert temperature is not None, "the checker has shares compared by a softmax"
            with self.trace.at(placed.span):
                self.trace.module("penalties", name, placed.word, placed.span, temperature=temperature.value)
                found.append(self.trace.one("joint_penalty", *self._predictions.values(), module=name))
        return [*found, *self._spread()]

    def _spread(self) -> Iterator[Value]:
        """Terms of the features of each input: of those that show a view of `data`, where there are such."""
        targets = {reference.view.name for reference in self.target.data if reference.view is not None}
        shown = [seen for view, seen in self._inputs.items() if view in targets or not self.objective.several]
        for index, placed in enumerate(self.target.regularizations):
            mode = placed.word.pooling()
            if not placed.word.spreads or mode is None:
                continue
            name = f"{self.name}_{index}"
            with self.trace.at(placed.span):
                self.trace.module("penalties", name, placed.word, placed.span)
                for seen in shown or self._inputs.values():
                    features = self.trace.one("pool", seen.whole, prefix=seen.shape.prefix, mode=mode)
                    yield self.trace.one("spread", features, module=name)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _shares_of(self, scores: Scores, of: TargetValues) -> Value:
        """z_y over prototypes, aligned. The regularization sees the scores of all views of this target at once."""
        if not self._shares:
            directions: tuple[Direction, ...] = ("forward", "backward") if self.objective.symmetric else ("forward",)
            compared: list[tuple[TargetReference, View | None]] = [
                (reference, self._views(reference, shown, direction)[1])
                for direction in directions
                for reference in self.target.data
                for shown in self.objective.predictors_of(self.target, reference)
            ]
            seen = {_place_of(reference, view): (reference, view) for reference, view in compared}
            made = {key: scores(self._values(reference, view)) for key, (reference, view) in seen.items()}
            assigned = tuple(made.values())
            if self.target.detached:
                with self.trace.at(self.target.settings["regularization"]):
                    assigned = tuple(self.trace.one("stop_gradient", each) for each in assigned)
            assigning = [placed for placed in self.target.regularizations if placed.word.assigns]
            order = sorted(assigning, key=lambda placed: (placed.word.takes_shares(), placed.word.makes_shares))
            hidden = self._hidden_in(seen.values()) if order and order[-1].word.of_hidden else ()
            for index, placed in enumerate(order):
                name = f"{self.name}_{index}"
                with self.trace.at(placed.span):
                    width = int(assigned[0].type.dimensions[-1])
                    self.trace.module("assignments", name, placed.word, placed.span, width=width)
                    if index == 0 and hidden:
                        assigned = tuple(self._picked(each, of) for each, of in zip(assigned, hidden, strict=True))
                    assigned = self._assigned(placed.word, name, assigned, hidden if placed.word.of_hidden else ())
            self._picked_before = bool(hidden)
            self._shares = dict(zip(made, assigned, strict=True))
        shares = self._shares[_place_of(of.reference, of.view)]
        return shares if of.wanted is None or self._picked_before else self._picked(shares, of.wanted)

    def _hidden_in(self, views: Iterable[tuple[TargetReference, View | None]]) -> tuple[Masked, ...]:
        """What inputs hide of each view, where only that is compared."""
        if not (self.target.representation.word.has_grid and self.target.distribution.word.hidden_only()):
            return ()
        found: list[Masked] = []
        for reference, _ in views:
            (shown,) = self.objective.predictors_of(self.target, reference)
            masked = seen_input(self.parts, self.objective, shown, reference.which).masked
            assert masked is not None, "the checker requires a mask for `tokens: hidden`"
            found.append(masked)
        return tuple(found)

    def _picked(self, value: Value, of: Masked) -> Value:
        return self.trace.one("gather", value, of.which, count=of.count, prefix=0)

    def _assigned(
        self, word: Regularization, name: str, scores: tuple[Value, ...], hidden: tuple[Masked, ...]
    ) -> tuple[Value, ...]:
        """What a word makes of the scores of all views: of each by itself, or of all as one batch."""
        filled = tuple(self.trace.one("filled", of.which, count=of.count) for of in hidden if of.varies)
        views = len(scores)
        joined = word.joins_views() and views > 1
        if joined:
            scores = (self.trace.one("concat", *scores),)
            filled = (self.trace.one("concat", *filled),) if filled else ()
        if filled:
            pairs = zip(scores, filled, strict=True)
            made = tuple(self.trace.one("assign_filled", each, of, module=name) for each, of in pairs)
        else:
            made = self.trace.call("assign", *scores, module=name)
        return self.trace.call("split", made[0], count=views) if joined else made

    def _projected(self, features: Value) -> Value:
        """Features through the encoder's projector, if it has one: when z_y is projected, so is z_x."""
        if not projects(self.objective, self.target) or self.objective.projector is None:
            return features
        return self.parts.project(self.objective.encoder, features)

    def _having(self, value: Value, reference: TargetReference) -> Value:
        """The rows of a value [B, ...] whose samples have the field; views are of all."""
        if reference.view is not None:
            return value
        with self.trace.at(reference.span):
            data = self.objective.input_of(reference.which).view.data
            return self.parts.having(value, data, reference.field)

    def _declare(self, features: Value, width: int) -> None:
        """The predictor, from `features` to a target of so many channels."""
        placed, given = self.target.predictor, int(features.type.dimensions[-1])
        widths = {"input_width": given, "output_width": placed.word.output_width(given, width)}
        self.trace.module("predictors", self.name, placed.word, placed.span, **widths)


def _place_of(reference: TargetReference, view: View | None) -> tuple[str, Which | None]:
    """What tells the views of a target apart."""
    return (reference.field if view is None else view.name), reference.which
