"""A view: the transforms of a recipe on a batch of decoded images.

Takes: uint8 images [B, 3, H, W] on the device, the sizes of their sources and the draws of the view. Gives:
normalised pixels and geometry. Guarantees: each row depends only on its own image and on (seed, epoch, sample, view);
float32 whatever the precision of training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from m3i_dsl.data.transfer import on_device
from m3i_dsl.semantics.program import View
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.kinds import Transform, ViewState
from m3i_dsl.vocabulary.transforms.pipeline import completed, execution_order


def render_view(
    view: View, images: torch.Tensor, sizes: NDArray[np.int64], draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 [B, 3, H, W] (images or canvases), int64 [B, 2] -> f32 [B, 3, h, w], f32 [B, 6] on the same device.

    The second is what `GeometryInput` holds. `draws.slot` should name the view.
    """
    return render([placed.word for placed in view.transforms], images, sizes, draws)


def render(
    transforms: Sequence[Transform], images: torch.Tensor, sizes: NDArray[np.int64], draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """`render_view` for a list of transforms.

    A step's slot is its name, so that adding another step to a view leaves its draws alone; repetitions are numbered.
    """
    state = ViewState.whole(sizes)
    met = Counter[str]()
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        pixels = images.float().div_(255)
        for transform in execution_order(completed(transforms)):
            met[transform.name] += 1
            count = met[transform.name]
            slot = transform.name if count == 1 else f"{transform.name} {count}"
            pixels = transform.apply(pixels, state, draws.at(slot))
    return pixels, on_device(state.geometry(), images.device)
