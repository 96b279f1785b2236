"""The inputs of a step: everything random or loaded that the graph is given.

Takes: nothing. Gives: one frozen class for each sort of placeholder. Guarantees: the graph itself draws nothing (but
for dropout inside an encoder): views, masks and mixes are drawn by the data stage and enter here.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Blend, Grid, Mask, PlainModality, TextMask


@dataclass(frozen=True, slots=True)
class ViewInput:
    """f32 [B, 3, H, W]: the normalised pixels of a view."""

    name: str
    view: str


@dataclass(frozen=True, slots=True)
class GeometryInput:
    """f32 [B, 6]: (top, left, height, width, flip, image width) of a view.

    The crop box in pixels of the source image after its horizontal flip (flip 0 or 1 comes first, then the crop), and
    the width of the source image.
    """

    name: str
    view: str


@dataclass(frozen=True, slots=True)
class MaskInput:
    """bool [B, L], True = hidden from the encoder, on its dense grid, row-major.

    `slot` is the slot of its Draws: where it stands in the recipe, never how it is written. `objectives` name those
    whose input it hides.
    """

    name: str
    view: str
    mask: Mask
    grid: Grid
    stride: int
    slot: str
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlendInput:
    """f32 [B, 5]: how each image of a view is blended with its partner, as `Blend.sample` says."""

    name: str
    view: str
    blend: Blend
    slot: str


@dataclass(frozen=True, slots=True)
class FieldInput:
    """The values of a field that is no picture, as its `modality` collates them: its `dtype` [B, *dimensions].

    `by` is the encoder that makes numbers of them, as one does of texts; None where they are numbers.
    """

    name: str
    data: str
    field: str
    modality: PlainModality
    by: str | None = None


@dataclass(frozen=True, slots=True)
class TextMaskInput:
    """bool [B, T], True = hidden from the encoder `by`, of the tokens of a text.

    Which tokens may be hidden depends on the text, so they are those of another input: the FieldInput called `tokens`.
    `slot` and `objectives` as of a MaskInput.
    """

    name: str
    data: str
    field: str
    by: str
    tokens: str
    mask: TextMask
    slot: str
    objectives: tuple[str, ...] = ()


BatchInput = ViewInput | GeometryInput | MaskInput | TextMaskInput | BlendInput | FieldInput
