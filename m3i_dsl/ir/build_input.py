"""The input of an objective as equations: z_x, and where its tokens are.

Takes: an input of an objective, and the image that is predicted. Gives: `Seen`. Guarantees: each of several inputs has
its own mask and its own grid; the second image of a mix is the partner's.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.graph import Value
from m3i_dsl.semantics.program import InputReference, Objective, Which
from m3i_dsl.vocabulary.kinds import FeatureShape


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
    those of both images of a mix; `masked` are the positions that the encoder did not see of this image.
    """

    whole: Value
    features: Value
    shape: FeatureShape
    hidden: Value | None = None
    source: Value | None = None
    masked: Masked | None = None


def input_shape(objective: Objective, input_: InputReference) -> FeatureShape:
    """What the encoder makes of an input without its mask."""
    return objective.encoder.image.shape_at(input_.view.size)


def seen_input(parts: PartsBuilder, objective: Objective, input_: InputReference, which: Which | None) -> Seen:
    """z_x and where its tokens are, for the image `which` of a mix, or the one of `input_`."""
    with parts.trace.at(objective.settings["input"]):
        return _single(parts, objective, input_) if objective.mix is None else _mixed(parts, objective, which)


def _single(parts: PartsBuilder, objective: Objective, input_: InputReference) -> Seen:
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


def _mixed(parts: PartsBuilder, objective: Objective, which: Which | None) -> Seen:
    trace, first = parts.trace, objective.inputs[0]
    assert objective.mix is not None
    mix, shape = objective.mix.word, input_shape(objective, first)
    mask = mix.mask()
    grid = shape.grid
    one, other = (parts.view(reference.view) for reference in objective.inputs)
    count = mask.hidden(grid, shape.stride)
    hidden = parts.mask(mask, first.view, shape, objective.name, "mix")
    image = trace.one("blend", one, trace.one("partner", other), hidden, rows=grid.rows, columns=grid.columns)
    whole = parts.encode(objective.encoder, image, isolate=hidden if mix.attention == "isolated" else None)
    if which == "second":
        hidden, count = trace.one("invert", hidden), grid.tokens - count
    own, masked = trace.one("invert", hidden), Masked(hidden, count)
    if mix.context == "all":
        return Seen(whole, whole, shape, None, own, masked)
    features = trace.one("gather", whole, own, count=grid.tokens - count, prefix=shape.prefix)
    return Seen(whole, features, shape, hidden, None, masked)
