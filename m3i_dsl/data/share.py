"""The rows of a batch that one of several processes makes.

Takes: the program, the batch and how many processes there are. Gives: the rows of each. Guarantees: all have equally
many, in the order of the ranks, both images of a mixed pair are with the same process, and so is a whole number of
periods of a mixture, so that all have the same composition.
"""

from __future__ import annotations

from m3i_dsl.diagnostics import RecipeError, error
from m3i_dsl.semantics.program import Program

SHOWN = 12
"""Numbers of processes that a message lists."""


def rows_of(batch: int, rank: int, world: int) -> range:
    """The rows of `rank` among `world` processes, which divides `batch`."""
    return range(rank * batch // world, (rank + 1) * batch // world)


def check_share(program: Program, world: int) -> None:
    """Raises RecipeError (M3I0520) when `world` processes cannot share the batch equally."""
    batch = program.training.batch
    if program.can_share(world):
        return
    what = program.unit_name if batch % world == 0 else "samples"
    fitting = [str(size) for size in program.possible_shares()]
    other = max(1, batch // (world * program.unit)) * program.unit * world
    raise RecipeError(
        [
            error(
                "M3I0520",
                f"a batch of {batch} cannot be shared equally among {world} processes in whole {what}",
                program.training.settings.get("batch", program.training.span),
                helps=(
                    f"it can be among {', '.join(fitting[-SHOWN:])}",
                    f"a batch of {other} can be shared among {world}; it is another recipe",
                ),
            )
        ]
    )
