"""A view: the transforms of a recipe on a batch of images.

Takes: uint8 images [B, 3, H, W] on the device, the state that they are in and the draws of the view. Gives: normalised
pixels and geometry. Guarantees: each row depends only on its own image and on (seed, epoch, sample, view); float32
whatever the precision of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from m3i_dsl.data.transfer import on_device
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.transforms.pipeline import completed, execution_order


@dataclass(frozen=True, slots=True)
class Step:
    """A transform and the slot of its draws: its name, so that adding another step to a view leaves its draws alone;
    repetitions are numbered.
    """

    slot: str
    transform: Transform


def steps_of(transforms: Sequence[Transform]) -> tuple[Step, ...]:
    """All that is done for a view, in the order in which it is done."""
    met = Counter[str]()
    steps: list[Step] = []
    for transform in execution_order(completed(transforms)):
        met[transform.name] += 1
        count = met[transform.name]
        steps.append(Step(transform.name if count == 1 else f"{transform.name} {count}", transform))
    return tuple(steps)


def until_sized(steps: Sequence[Step]) -> tuple[int, tuple[int, int]]:
    """How many of the steps it takes until all images have one size, whatever theirs was, and that (height, width)."""
    size: tuple[int, int] | None = None
    for place, step in enumerate(steps):
        size = step.transform.output_size(size)
        if size is not None:
            return place + 1, size
    raise AssertionError("a view has a size (M3I0212)")


def render(
    steps: Sequence[Step], images: torch.Tensor, state: ViewState, draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [B, 3, H, W] in `state` -> f32 [B, 3, h, w], f32 [B, 6] on the same device.

    The second is what `GeometryInput` holds. `draws.slot` should name the view.
    """
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        pixels = images.float().div_(255)
        for step in steps:
            pixels = step.transform.apply(pixels, state, draws.at(step.slot))
    return pixels, on_device(state.geometry(), images.device)
