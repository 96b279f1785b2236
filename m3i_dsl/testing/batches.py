"""Batches without data: made from the inputs that a graph asks for.

Takes: an executable and a number. Gives: a batch, the same for the same number. Guarantees: two views of an image have
something in common, as those of a picture do; masks are drawn by their own words, and fields are examples of their own
modality; nothing is read from the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.inputs import BatchInput, BlendInput, FieldInput, GeometryInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.lower.executable import Executable
from m3i_dsl.vocabulary.draws import Draws, key_of


def synthetic_batch(executable: Executable, number: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The inputs of one step, floating point in `dtype`."""
    made = {input_.name: _input(executable, input_, number) for input_ in executable.inputs}
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in made.items()}


def named_batch(executable: Executable, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch by what it is: view1, view2, geometry1, geometry2, hidden, drawn, tokens, labels, or the field.

    Of several masks each has the name of its view, hidden_view1.
    """
    named: dict[str, Tensor] = {}
    several = sum(isinstance(input_, MaskInput) for input_ in executable.inputs) > 1
    for input_ in executable.inputs:
        match input_:
            case ViewInput(view=view):
                name = view
            case GeometryInput(view=view):
                name = view.replace("view", "geometry")
            case MaskInput(view=view):
                name = f"hidden_{view}" if several else "hidden"
            case TextMaskInput():
                name = "hidden"
            case BlendInput():
                name = "drawn"
            case FieldInput():
                name = (
                    "tokens" if input_.by is not None else "labels" if input_.modality.of_categories else input_.field
                )
        assert name not in named, "there are names for one mask of a view and one caption"
        named[name] = batch[input_.name]
    return named


def _input(executable: Executable, input_: BatchInput, number: int) -> Tensor:
    batch = _rows(executable, input_)
    own = _generator(input_.name, number)
    match input_:
        case ViewInput():
            view = executable.program.views[input_.view]
            coarse = torch.randn(batch, 3, 4, 4, generator=_generator(view.data.name, number))
            common = F.interpolate(coarse, size=view.size, mode="nearest")
            return common + 0.3 * torch.randn(batch, 3, *view.size, generator=own)
        case GeometryInput():
            corner, size = 12 * torch.rand(batch, 2, generator=own), 16 + 16 * torch.rand(batch, 2, generator=own)
            flip = torch.randint(0, 2, (batch, 1), generator=own).float()
            return torch.cat([corner, size, flip, torch.full((batch, 1), 44.0)], dim=1)
        case MaskInput():
            draws = Draws(number, 0, np.arange(batch), input_.slot)
            return torch.from_numpy(input_.mask.sample(draws, input_.grid, input_.stride))
        case BlendInput():
            draws = Draws(number, 0, np.arange(batch), input_.slot)
            return torch.from_numpy(input_.blend.sample(draws, executable.program.views[input_.view].size))
        case TextMaskInput():
            tokens = next(i for i in executable.inputs if i.name == input_.tokens)
            ids = _input(executable, tokens, number).numpy()
            draws = Draws(number, 0, np.arange(batch), input_.slot)
            hideable = executable.program.encoders[input_.by].text.hideable(ids, Path())
            return torch.from_numpy(input_.mask.sample_texts(draws, hideable))
        case FieldInput(modality=modality, by=by):
            encoder = None if by is None else executable.program.encoders[by].word.word
            return torch.from_numpy(modality.collate(modality.examples(batch, number), encoder, Path()))


def _rows(executable: Executable, input_: BatchInput) -> int:
    """The batch, or the part of it that has the field."""
    value = next(i.value for i in executable.graph.inputs if i.source == input_)
    return int((batches_in(value.type.dimensions[0]) or 1) * executable.program.training.batch)


def _generator(name: str, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(key_of(f"{name}\0{number}") % 2**63)
