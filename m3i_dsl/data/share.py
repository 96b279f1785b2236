"""The rows of a batch that one of several processes makes.

Takes: the program, the batch and how many processes there are. Gives: the rows of each. Guarantees: all have equally
many, in the order of the ranks, and both images of a mixed pair are with the same process.
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
    pairs = any(objective.mix is not None for objective in program.objectives)
    if _fits(batch, world, pairs):
        return
    what = "pairs of samples that are mixed" if pairs and batch % world == 0 else "samples"
    fitting = [str(size) for size in range(1, batch + 1) if _fits(batch, size, pairs)]
    near = round(batch / world) or 1
    other = max(1, near // 2) * 2 * world if pairs else near * world
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


def _fits(batch: int, world: int, pairs: bool) -> bool:
    return batch % world == 0 and not (pairs and (batch // world) % 2)
