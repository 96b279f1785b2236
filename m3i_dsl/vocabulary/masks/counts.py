"""Exact counts of hidden tokens.

Takes: ratios, and masks that may hide too few or too many tokens. Gives: counts and exact masks. Guarantees: the same
number of True in every row, which batching visible tokens needs; at least one token hidden and one visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Grid, WordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from m3i_dsl.vocabulary.draws import Draws

ROUNDING = 1e-9
"""What floats may be off by: 90% of 10 tokens is 9, although 10 * (1 - 0.9) is a little above 1."""


def possible(hidden: int, ratio: float, grid: Grid) -> int:
    """`hidden`, if that leaves tokens on both sides; raises WordError at `ratio` otherwise."""
    if 0 < hidden < grid.tokens:
        return hidden
    which = "no token" if hidden <= 0 else "every token"
    raise WordError(
        f"the mask hides {which} of a {grid} grid",
        argument="ratio",
        help=f"choose a ratio that hides between 1 and {grid.tokens - 1} of {grid.tokens} tokens",
    )


def nearest(ratio: float, grid: Grid) -> int:
    """The number of tokens nearest to `ratio` of the grid, half up."""
    return possible(int(grid.tokens * ratio + 0.5 + ROUNDING), ratio, grid)


def exact(hidden: NDArray[np.bool_], counts: NDArray[np.int64], draws: Draws) -> NDArray[np.bool_]:
    """bool [B, L], `counts` int64 [B] True in each row: random tokens are added to too few, else removed."""
    import numpy as np

    # Hidden tokens rank before visible ones, at random among themselves; the first `counts` are hidden.
    values = np.where(hidden, 0.0, 1.0) + draws.uniform(hidden.shape[1])
    ranks = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1, kind="stable")
    return ranks < counts[:, None]


def smallest(values: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """bool [B, L]: True at the `count` smallest of each row; ties go to the earlier one."""
    import numpy as np

    first = np.argsort(values, axis=1, kind="stable")[:, :count]
    result = np.zeros(values.shape, dtype=np.bool_)
    np.put_along_axis(result, first, True, axis=1)
    return result


def some_of(allowed: NDArray[np.bool_], counts: NDArray[np.int64], draws: Draws) -> NDArray[np.bool_]:
    """bool [B, L]: int64 [B] `counts` random True in each row, all of them where `allowed` is."""
    import numpy as np

    values = np.where(allowed, draws.uniform(allowed.shape[1]), 1.0)
    ranks = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1, kind="stable")
    return ranks < counts[:, None]
