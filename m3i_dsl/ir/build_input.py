"""The input of an objective as equations: z_x, and where its tokens are.

Takes: an input of an objective, and the image that is predicted. Gives: `Seen`. Guarantees: each of several inputs has
its own mask and its own grid; the second image of a mix is the partner's.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.graph import Value
from m3i_dsl.semantics.program import InputReference, Objective, Placed, TextField, View, Which
from m3i_dsl.vocabulary.kinds import FeatureShape, Mask


@dataclass(frozen=True, slots=True)
class Masked:
    """Positions that the encoder did not see: `which` bool [B, L], `count` of them True, at most so many if it
    `varies`.
    """

    which: Value
    count: int
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a predictor is given: features [B, P + N, D], and where the N tokens are.

    `whole` is z_x, of which `features` are the tokens that go on; `shape` that of an image without mask; `hidden` are
    the positions of the input grid at which no token is (None: all are present); `source` marks the own tokens among
    those of both images of a mix; `masked` are the positions that the encoder did not see of this image; `tokens` are
    the ids i64 [B, T] of a text.
    """

    whole: Value
    features: Value
    shape: FeatureShape
    hidden: Value | None = None
    source: Value | None = None
    masked: Masked | None = None
    tokens: Value | None = None


def input_shape(objective: Objective, input_: InputReference) -> FeatureShape:
    """What the encoder makes of an input without its mask."""
    return objective.encoder.shape_of(input_.view)


def seen_input(parts: PartsBuilder, objective: Objective, input_: InputReference, which: Which | None) -> Seen:
    """z_x and where its tokens are, for the image `which` of a mix, or the one of `input_`."""
    with parts.trace.at(objective.settings["input"]):
        return _single(parts, objective, input_) if objective.mix is None else _mixed(parts, objective, which)


def _single(parts: PartsBuilder, objective: Objective, input_: InputReference) -> Seen:
    if isinstance(input_.view, TextField):
        return _text(parts, objective, input_.view, input_.mask)
    image, shape = parts.view(input_.view), input_shape(objective, input_)
    if input_.blend is not None:
        drawn = parts.drawn(input_.blend.word, input_.view, objective.name)
        image = parts.trace.one("mixed", image, parts.trace.one("partner", image), drawn)
    if input_.mask is None:
        features = parts.encode(objective.encoder, image)
        return Seen(features, features, shape)
    mask = input_.mask.word
    masked = Masked(
        parts.mask(mask, input_.view, shape, objective.name),
        mask.hidden(shape.grid, shape.stride),
        mask.varies(),
    )
    features = parts.encode(objective.encoder, image, mask=mask, hidden=masked.which)
    return Seen(features, features, shape, masked.which if mask.tokens == "drop" else None, None, masked)


def _text(parts: PartsBuilder, objective: Objective, text: TextField, mask: Placed[Mask] | None) -> Seen:
    encoder, shape = objective.encoder, objective.encoder.shape_of(text)
    tokens = parts.field(text.data, text.field, encoder)
    if mask is None:
        features = parts.encode_text(encoder, tokens)
        return Seen(features, features, shape, tokens=tokens)
    hidden = parts.text_mask(mask.word, text, encoder, tokens, objective.name)
    features = parts.encode_text(encoder, tokens, hidden)
    masked = Masked(hidden, mask.word.hidden(shape.grid, shape.stride), varies=True)
    return Seen(features, features, shape, masked=masked, tokens=tokens)


def _mixed(parts: PartsBuilder, objective: Objective, which: Which | None) -> Seen:
    trace, first = parts.trace, objective.inputs[0]
    views = [reference.view for reference in objective.inputs if isinstance(reference.view, View)]
    assert objective.mix is not None and len(views) == len(objective.inputs), "a mix is of images"
    mix, shape = objective.mix.word, input_shape(objective, first)
    mask = mix.mask()
    grid = shape.grid
    one, other = (parts.view(view) for view in views)
    count = mask.hidden(grid, shape.stride)
    hidden = parts.mask(mask, views[0], shape, objective.name, "mix")
    image = trace.one("blend", one, trace.one("partner", other), hidden, rows=grid.rows, columns=grid.columns)
    whole = parts.encode(objective.encoder, image, isolate=hidden if mix.attention == "isolated" else None)
    if which == "second":
        hidden, count = trace.one("invert", hidden), grid.tokens - count
    own, masked = trace.one("invert", hidden), Masked(hidden, count)
    if mix.context == "all":
        return Seen(whole, whole, shape, None, own, masked)
    features = trace.one("gather", whole, own, count=grid.tokens - count, prefix=shape.prefix)
    return Seen(whole, features, shape, hidden, None, masked)
