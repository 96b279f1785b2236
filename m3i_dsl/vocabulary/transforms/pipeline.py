"""The order in which the steps of a view are done.

Takes: the transforms as written. Gives: the same with a final `normalize` if there was none (what `m3ic resolve`
shows), and the order of execution. Guarantees: `flip` is done before every crop; all other steps keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence

from m3i_dsl.vocabulary.kinds import Transform, WordError
from m3i_dsl.vocabulary.transforms.flip import Flip
from m3i_dsl.vocabulary.transforms.normalize import Normalize


def completed(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    """The steps as written, ending in `normalize`. Raises WordError when a step comes after it."""
    late = late_step(transforms)
    if late is not None:
        raise WordError(
            f"`{transforms[late].name}` comes after `normalize`",
            help="make `normalize` the last step: the others work on values from 0 to 1",
        )
    ended = bool(transforms) and isinstance(transforms[-1], Normalize)
    return tuple(transforms) if ended else (*transforms, Normalize())


def late_step(transforms: Sequence[Transform]) -> int | None:
    """The place of the first step after a `normalize`, None if there is none."""
    places = (place for place, transform in enumerate(transforms) if isinstance(transform, Normalize))
    first = next(places, len(transforms))
    return first + 1 if first + 1 < len(transforms) else None


def normalization(transforms: Sequence[Transform]) -> Normalize:
    """The `normalize` that a view ends in. Raises WordError when a step comes after it."""
    last = completed(transforms)[-1]
    assert isinstance(last, Normalize), "`completed` ends in it"
    return last


def execution_order(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    """Flips first, the rest as written."""
    return tuple(sorted(transforms, key=lambda transform: not isinstance(transform, Flip)))


def output_size(transforms: Sequence[Transform]) -> tuple[int, int] | None:
    """The (height, width) of the view, None when it is that of the source. Raises WordError."""
    size: tuple[int, int] | None = None
    for transform in transforms:
        size = transform.output_size(size)
    return size
