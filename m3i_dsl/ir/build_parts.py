"""The parts that every row is made of: inputs, encoder calls and projections as equations.

Takes: views, masks, fields and encoders of the program. Gives: their values. Guarantees: an input is one placeholder
however many rows read it, and an encoder is one module with one declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from m3i_dsl.ir.dimensions import batch_dimension, ranges_text
from m3i_dsl.ir.effects import OBSERVABLE
from m3i_dsl.ir.graph import Attribute, Input, Section, Type, Value
from m3i_dsl.ir.inputs import BlendInput, FieldInput, GeometryInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.ir.trace import Trace
from m3i_dsl.semantics.program import AnyData, EncoderDeclaration, Mixture, TextField, View, Which
from m3i_dsl.vocabulary.kinds import Blend, Encoder, FeatureShape, Mask, PlainModality, TextMask
from m3i_dsl.vocabulary.transforms.pipeline import normalization
from m3i_dsl.vocabulary.values import ramp_text


class PartsBuilder:
    """Writes the equations that do not depend on a target.

    By the definition of the language, what an encoder makes of one input under one mask is one representation. For an
    encoder that draws random numbers or keeps statistics, and for a weighting that compares gradients at it
    (`one_input`), this is a matter of meaning, so it is one call in every graph. Other encoders are called anew for
    each target, and passes/ share what is equal.
    """

    def __init__(self, trace: Trace, *, one_input: bool = False, every_field: bool = False) -> None:
        """`every_field`: each row has every field, as in evaluation."""
        self.trace = trace
        self.one_input = one_input
        self.every_field = every_field
        self.terms: dict[Value, EncoderDeclaration] = {}
        """What projectors of trained encoders add to the loss: commitments to codes."""
        self._read_by: dict[str, Encoder | None] = {}

    # --- inputs -------------------------------------------------------------------------------------------------------

    def view(self, view: View) -> Value:
        """f32 [B, 3, H, W]."""
        return self.trace.input(ViewInput(view.identifier, view.name), Type("f32", ("B", 3, *view.size)))

    def geometry(self, view: View, which: Which | None) -> Value:
        """f32 [B, 6], of the partner's view for the second image of a mix."""
        geometry = self.trace.input(GeometryInput(f"{view.identifier}_geometry", view.name), Type("f32", ("B", 6)))
        return self.partnered(geometry, which)

    def mask(self, mask: Mask, view: View, shape: FeatureShape, objective: str, place: str = "mask") -> Value:
        """bool [B, L], of a view or of the mix that it begins; an equal mask in the same `place` is the same one.

        A second, different one is drawn by itself, under a number.
        """
        masks = [input_.source for input_ in self.trace.inputs.values() if isinstance(input_.source, MaskInput)]
        slot = f"{view.name}/{place}"
        same_place = [source for source in masks if source.slot == slot or source.slot.startswith(f"{slot} ")]
        equal = (mask, shape.grid, shape.stride)
        known = next((source for source in same_place if (source.mask, source.grid, source.stride) == equal), None)
        if known is None:
            slot += f" {len(same_place) + 1}" if same_place else ""
            name = f"{view.identifier}_mask{len(masks) or ''}"
            known = MaskInput(name, view.name, mask, shape.grid, shape.stride, slot, ())
        if objective not in known.objectives:
            known = replace(known, objectives=(*known.objectives, objective))
        value = self.trace.input(known, Type("bool", ("B", shape.grid.tokens)))
        self.trace.inputs[known.name] = Input(known, value)  # of one objective more than before
        return value

    def drawn(self, blend: Blend, view: View, objective: str) -> Value:
        """f32 [B, 5]: how the images of a view are blended; each objective draws its own."""
        name, slot = f"{view.identifier}_blend_{objective}", f"{view.name}/blend {objective}"
        return self.trace.input(BlendInput(name, view.name, blend, slot), Type("f32", ("B", 5)))

    def text_mask(
        self, mask: Mask, text: TextField, encoder: EncoderDeclaration, tokens: Value, objective: str
    ) -> Value:
        """bool [B, T], of the `tokens` of a text as `encoder` reads it; an equal mask of the text is the same one."""
        assert isinstance(mask, TextMask), "the checker has texts hidden by masks of texts"
        masks = [input_.source for input_ in self.trace.inputs.values() if isinstance(input_.source, TextMaskInput)]
        same_place = [source for source in masks if (source.data, source.field) == (text.data.name, text.field)]
        equal = (tokens.name, mask)
        known = next((source for source in same_place if (source.tokens, source.mask) == equal), None)
        if known is None:
            slot = f"{text.field}/mask" + (f" {len(same_place) + 1}" if same_place else "")
            name = f"{text.data.name}_{text.field}_mask{len(same_place) or ''}"
            known = TextMaskInput(name, text.data.name, text.field, encoder.name, tokens.name, mask, slot, ())
        if objective not in known.objectives:
            known = replace(known, objectives=(*known.objectives, objective))
        value = self.trace.input(known, replace(tokens.type, dtype="bool"))
        self.trace.inputs[known.name] = Input(known, value)  # of one objective more than before
        return value

    def field(self, data: AnyData, field: str, by: EncoderDeclaration | None = None) -> Value:
        """The values of a field as its modality collates them, of the samples that have it.

        `by` is the encoder of the target, which texts are tokenised by.
        """
        modality = data.fields[field]
        assert isinstance(modality, PlainModality), "the checker has targets of pictures read views"
        by = by if modality.tokenized else None
        name, word = f"{data.name}_{field}", by.word.word if by else None
        if self._read_by.setdefault(name, word) != word:  # an average is read as what it follows; another is not
            assert by is not None
            name = f"{name}_{by.name}"
        source = FieldInput(name, data.name, field, modality, by.name if by else None)
        return self.trace.input(
            source, Type(modality.dtype, (self._rows_having(data, field), *modality.dimensions(word)))
        )

    def _rows_having(self, data: AnyData, field: str) -> str:
        if self.every_field or not isinstance(data, Mixture):
            return "B"
        return batch_dimension(data.pattern.share([source.name for source in data.having(field)]))

    def having(self, value: Value, data: AnyData, field: str) -> Value:
        """The rows of `value` [B, ...] whose samples have a field."""
        if self.every_field or data.is_whole(field) or not isinstance(data, Mixture):
            return value
        pattern = data.pattern
        which = ranges_text(pattern.chosen([source.name for source in data.having(field)]))
        return self.trace.one("rows", value, period=pattern.period, which=which)

    def partnered(self, value: Value, which: Which | None) -> Value:
        """The value that belongs to the image: its partner's for the second image of a mix."""
        return self.trace.one("partner", value) if which == "second" else value

    # --- encoders -----------------------------------------------------------------------------------------------------

    def shown(self, view: View, encoder: EncoderDeclaration) -> Value:
        """f32 [B, 3, H, W]: a view as a teacher wants it, of the teacher's size and normalised by its statistics."""
        image, word = self.view(view), encoder.image
        height, width = word.shape().image
        if word.resizes() and view.size != (height, width):
            image = self.trace.call("resize", image, height=height, width=width)[0]
        given, wanted = normalization([placed.word for placed in view.transforms]), word.statistics()
        mean, std = wanted.mean or given.mean, wanted.std or given.std
        if (mean, std) == (given.mean, given.std):
            return image
        scale = " ".join(repr(before / after) for before, after in zip(given.std, std, strict=True))
        moved = zip(given.mean, mean, std, strict=True)
        shift = " ".join(repr((before - after) / deviation) for before, after, deviation in moved)
        return self.trace.call("renormalize", image, scale=scale, shift=shift)[0]

    def encode(
        self,
        encoder: EncoderDeclaration,
        image: Value,
        *,
        mask: Mask | None = None,
        hidden: Value | None = None,
        isolate: Value | None = None,
        taps: int = 0,
    ) -> Value:
        """Features [B, P + N, D] of an image encoder, or its last `taps` block outputs when `taps` is not 0."""
        _, _, height, width = image.type.dimensions
        shape = encoder.image.shape_at((int(height), int(width)))
        self._declare(encoder)
        visible = shape.grid.tokens
        if mask is not None and mask.tokens == "drop":
            visible -= mask.hidden(shape.grid, shape.stride)
        tokens = "all" if mask is None else mask.tokens
        attributes: dict[str, Attribute] = {"tokens": tokens, "visible": visible, "taps": taps, "embed": "all"}
        results = self._call("encoders", encoder)("encode", image, hidden, isolate, module=encoder.name, **attributes)
        return results[1] if taps else results[0]

    def encode_text(self, encoder: EncoderDeclaration, tokens: Value, hidden: Value | None = None) -> Value:
        """Features [B, T, W] of texts, of whose tokens those are `hidden`."""
        word = encoder.text
        self.trace.module("encoders", encoder.name, word, encoder.span, width=word.width, **_origin(encoder))
        given = (tokens,) if hidden is None else (tokens, hidden)
        return self._call("encoders", encoder)("encode_text", *given, module=encoder.name)[0]

    def project(self, encoder: EncoderDeclaration, features: Value) -> Value:
        """Features through the encoder's projector."""
        self._declare(encoder)
        projected, *terms = self._call("projectors", encoder)("project", features, module=encoder.name)
        if encoder.trained:
            self.terms |= dict.fromkeys(terms, encoder)
        return projected

    def codes(self, encoder: EncoderDeclaration, features: Value) -> Value:
        """i64 [B, N]: features [B, N, D] by the codebook that ends the encoder's projector."""
        self._declare(encoder)
        return self._call("projectors", encoder)("codes", features, module=encoder.name, codes=True)[0]

    def _call(self, section: Section, encoder: EncoderDeclaration) -> Callable[..., tuple[Value, ...]]:
        impure = self.trace.modules[section, encoder.name].word.effects_of() & OBSERVABLE
        return self.trace.once if impure or self.one_input else self.trace.call

    def _declare(self, encoder: EncoderDeclaration) -> None:
        word = encoder.image
        shape = word.shape()
        grid = {"rows": shape.grid.rows, "columns": shape.grid.columns}
        sizes = {"width": shape.width, "prefix": shape.prefix, **grid}
        self.trace.module("encoders", encoder.name, word, encoder.span, **sizes, **_origin(encoder))
        if word.projector is not None:
            widths = {"input_width": shape.width, "output_width": word.projected_width()}
            self.trace.module("projectors", encoder.name, word.projector, encoder.span, **widths, **_origin(encoder))


def _origin(encoder: EncoderDeclaration) -> dict[str, str]:
    """What an encoder is a copy of, and how its parameters move: `trained`, `frozen`, or the ramp of its momentum."""
    moves = ramp_text(encoder.momentum) if encoder.momentum is not None else "frozen" if encoder.frozen else "trained"
    return {"of": encoder.of or "none", "moves": moves, "weights": encoder.weights or "none"}
