"""Lists of views in the stream: each view of a list has draws, pixels and geometry of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import GeometryInput, ViewInput
from m3i_dsl.semantics.program import ListPlace, Program
from m3i_dsl.vocabulary.sources import Embedded
from m3i_dsl.vocabulary.transforms import Crop, Flip, Normalize
from tests.data.programs import program

COUNT = 3


def crops(count: int = COUNT) -> Program:
    """`views local[count]`, 8 px each."""
    made = program({"images": Embedded("digits")}, 96, {"local": (Crop(size=8, scale=(0.1, 0.4)), Flip(), Normalize())})
    view = made.views["local"]
    places = [ListPlace("local", index, count) for index in range(count)]
    views = [replace(view, name=f"local[{place.index}]", place=place) for place in places]
    return replace(made, views={view.name: view for view in views})


INPUTS = tuple(
    input_
    for index in range(COUNT)
    for input_ in (ViewInput(f"x{index}", f"local[{index}]"), GeometryInput(f"t{index}", f"local[{index}]"))
)


def test_each_view_of_a_list_is_drawn_by_itself() -> None:
    batch = Stream(crops(), INPUTS, base=Path()).batch_at(2)
    for index in range(COUNT):
        pixels, geometry = batch[f"x{index}"], batch[f"t{index}"]
        assert pixels.shape == (96, 3, 8, 8)
        for other in range(index):
            alike = (geometry[:, :4] == batch[f"t{other}"][:, :4]).all(dim=1)
            assert alike.double().mean() < 0.1, "crops of one image"
            assert not torch.equal(geometry[:, 4], batch[f"t{other}"][:, 4]), "mirrored alike"
            assert not torch.equal(pixels, batch[f"x{other}"])


def test_a_longer_list_has_the_same_first_views() -> None:
    few, many = (Stream(crops(count), INPUTS, base=Path()).batch_at(1) for count in (COUNT, COUNT + 5))
    for name in few:
        assert torch.equal(few[name], many[name])
