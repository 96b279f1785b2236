"""The operations of which words make a target, as equations.

Takes: a target of an objective, and which of its views or fields. Gives: `TargetValues`, the `TargetParts` of the
vocabulary over values of the IR. Guarantees: to ask twice for the same value writes it once; every equation comes from
the setting that is being read.
"""

from __future__ import annotations

from collections.abc import Callable

from m3i_dsl.ir.build_input import Masked, Seen
from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.graph import Attribute, Value
from m3i_dsl.semantics.geometry import target_grid
from m3i_dsl.semantics.program import AnyData, EncoderDeclaration, Objective, Target, TargetReference, View
from m3i_dsl.vocabulary.kinds import Comparison, Pooling

Scores = Callable[["TargetValues"], Value]


class TargetValues:
    """One view or field of a target. `seen` is what predicts it, `wanted` what counts of a dense one (None: all);
    `assigned` makes shares of the scores of all views of the target.
    """

    def __init__(
        self,
        parts: PartsBuilder,
        objective: Objective,
        target: Target,
        reference: TargetReference,
        view: View | None,
        *,
        seen: Seen | None = None,
        wanted: Masked | None = None,
        assigned: Callable[[Scores, TargetValues], Value],
    ) -> None:
        self.parts, self.trace = parts, parts.trace
        self.objective, self.target = objective, target
        self.reference, self.view = reference, view
        self._seen, self.wanted, self._assigned = seen, wanted, assigned
        self._written: dict[tuple[object, ...], tuple[Value, ...]] = {}

    @property
    def name(self) -> str:
        return f"{self.objective.name}_{self.target.name}"

    @property
    def data(self) -> AnyData:
        """What the reference is of."""
        return self.objective.input_of(self.reference.which).view.data

    # --- what is represented ------------------------------------------------------------------------------------------

    def image(self) -> Value:
        assert self.view is not None, "the checker knows that the representation reads images"
        return self.parts.view(self.view)

    def field(self) -> Value:
        return self.parts.field(self.data, self.reference.field, self.target.encoder or self.objective.encoder)

    # --- encoders -----------------------------------------------------------------------------------------------------

    def encode(self, blocks: int = 1) -> Value:
        def write() -> tuple[Value, ...]:
            if self.view is None:
                return (self.encode_text(self.field()),)
            taps = blocks if blocks > 1 else 0
            assert self.view is not None, "the checker knows that the representation reads images"
            image = self.parts.shown(self.view, self._encoder)
            features = self.parts.encode(self._encoder, image, taps=taps)
            return (self.trace.one("average_layers", features, last=blocks) if taps else features,)

        return self._once(("encode", blocks), write)[0]

    def encode_text(self, tokens: Value) -> Value:
        return self._once(("encode_text", tokens), lambda: (self.parts.encode_text(self._encoder, tokens),))[0]

    def pool_text(self, features: Value, tokens: Value) -> Value:
        return self._call("pool_text", features, tokens, mode=self._encoder.text.pool)[0]

    def project(self, features: Value) -> Value:
        image = self._encoder.word.word.as_image()
        if image is None or image.projector is None:
            return features
        return self._once(("project", features), lambda: (self.parts.project(self._encoder, features),))[0]

    def codes(self) -> tuple[Value, int]:
        projector = self._encoder.image.projector
        count = None if projector is None else projector.codes()
        assert count is not None, "the checker knows that the encoder is a tokenizer"
        features = self.patches(self.encode())
        return self._once(("codes",), lambda: (self.parts.codes(self._encoder, features),))[0], count

    # --- functions ----------------------------------------------------------------------------------------------------

    def pool(self, features: Value, mode: Pooling) -> Value:
        return self._call("pool", features, prefix=self._prefix, mode=mode)[0]

    def patches(self, features: Value) -> Value:
        return self._call("patches", features, prefix=self._prefix)[0]

    def patchify(self, image: Value, *, normalize: bool) -> Value:
        grid = target_grid(self.objective, self.target, self.view)
        assert grid is not None, "only a dense target has a grid"
        return self._call("patchify", image, rows=grid.rows, columns=grid.columns, normalize=normalize)[0]

    def match(self, target: Value, features: Value) -> Value:
        assert self._seen is not None, "a target that is matched has a grid"
        own = self._call("patches", self._seen.features, prefix=self._seen.shape.prefix)[0]
        return self._call("match", target, own, self.patches(features))[0]

    def aligned(self, value: Value) -> Value:
        value = self.parts.partnered(value, self.reference.which)
        if self.wanted is None:
            return value
        return self.trace.one("gather", value, self.wanted.which, count=self.wanted.count, prefix=0)

    def shares(self, scores: Scores) -> Value:
        return self._assigned(scores, self)

    # --- the representation's own module ------------------------------------------------------------------------------

    def represent(self, *values: Value) -> Value:
        encoder = self.target.encoder and self.target.encoder.word.word
        stride = self.objective.shape.stride
        self._declare(width=self.target.representation.word.width(encoder, stride))
        grid = target_grid(self.objective, self.target, self.view)
        tokens = 0 if grid is None else grid.tokens
        return self._call("represent", *values, module=self.name, tokens=tokens)[0]

    def table(self, rows: int | None = None) -> tuple[Value, Value]:
        encoder = self.target.encoder and self.target.encoder.word.word
        word, shape = self.target.representation.word, self.objective.shape
        # One without a width of its own takes that of the predictor's input.
        width = word.width(encoder, shape.stride) or self.target.predictor.word.output_width(shape.width, 0)
        self._declare(width=width, rows="C" if rows is None else rows, data=self.data.name)
        weight, bias = self._call("table", module=self.name)
        return weight, bias

    def _declare(self, **attributes: Attribute) -> None:
        placed = self.target.representation
        self.trace.module("representations", self.name, placed.word, placed.span, **attributes)

    # --- comparisons --------------------------------------------------------------------------------------------------

    def compare(self, prediction: Value, target: Value, keys: Value | None = None) -> Value:
        if not self.target.distribution.word.contrasts:
            filled = self._filled()
            return self._compared("compare", prediction, target, *((None, filled) if filled else ()))
        return self._compared("contrast", prediction, target, keys if self.target.queue else None)

    def classify(self, prediction: Value, table: Value, bias: Value, labels: Value) -> Value:
        shown = self.objective.inputs[0]
        if shown.blend is None or not isinstance(shown.view, View):
            return self._compared("classify", prediction, table, bias, labels)
        share = self.trace.one("own_share", self.parts.drawn(shown.blend.word, shown.view, self.objective.name))
        share = self.parts.having(share, self.data, self.reference.field)
        return self._compared("classify", prediction, table, bias, labels, self.trace.one("partner", labels), share)

    def retrieve(self, prediction: Value, texts: Value, tokens: Value) -> Value:
        partnered = self.reference.which == "second"
        return self._compared("retrieve", prediction, texts, tokens, partnered=partnered)

    def cross_entropy(self, prediction: Value, shares: Value) -> Value:
        filled = self._filled()
        return self._compared("cross_entropy", prediction, shares, *((filled,) if filled else ()))

    def _filled(self) -> Value | None:
        """Which of the tokens that are compared count, where images differ in how many do."""
        wanted = self.wanted
        return self.trace.one("filled", wanted.which, count=wanted.count) if wanted and wanted.varies else None

    def _compared(self, comparison: Comparison, *arguments: Value | None, **attributes: Attribute) -> Value:
        placed, target = self.target.distribution, arguments[1]
        assert target is not None
        self.trace.module(
            "likelihoods",
            self.name,
            placed.word,
            placed.span,
            width=int(target.type.dimensions[-1]),
            queue=self.target.queue,
            tokens=self.target.candidate_tokens,
            standardized=any(placed.word.standardizes for placed in self.target.regularizations),
            **({"predictions": True} if self.target.chooses_among_predictions else {}),
        )
        return self.trace.one(comparison, *arguments, module=self.name, **attributes)

    # --- writing ------------------------------------------------------------------------------------------------------

    @property
    def _encoder(self) -> EncoderDeclaration:
        assert self.target.encoder is not None, "the checker knows that the representation is of an encoder"
        return self.target.encoder

    @property
    def _prefix(self) -> int:
        return 0 if self.view is None else self._encoder.image.shape().prefix

    def _call(self, operation: str, *arguments: Value, **attributes: Attribute) -> tuple[Value, ...]:
        key = (operation, *arguments, *sorted(attributes.items()))
        return self._once(key, lambda: self.trace.call(operation, *arguments, **attributes))

    def _once(self, key: tuple[object, ...], write: Callable[[], tuple[Value, ...]]) -> tuple[Value, ...]:
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]
