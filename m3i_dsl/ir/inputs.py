"""The inputs of a step: everything random or loaded that the graph is given.

Takes: nothing. Gives: one frozen class for each sort of placeholder. Guarantees: the graph itself draws nothing (but
for dropout inside an encoder): views, masks and mixes are drawn by the data stage and enter here.
"""

from __future__ import annotations

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Grid, Mask


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
    """bool [B, L], True = hidden from the encoder, on its dense grid, row-major. `slot` is the slot of its Draws."""

    name: str
    view: str
    mask: Mask
    grid: Grid
    stride: int
    slot: str


@dataclass(frozen=True, slots=True)
class TextInput:
    """i64 [B, T]: a text field tokenised by `encoder`, 0 = padding."""

    name: str
    data: str
    field: str
    encoder: str


@dataclass(frozen=True, slots=True)
class CategoryInput:
    """i64 [B]: a category field."""

    name: str
    data: str
    field: str


BatchInput = ViewInput | GeometryInput | MaskInput | TextInput | CategoryInput
