"""The processes of a training as one: what losses and statistics read of the rows that other processes have.

Takes: tensors of this process. Gives: rows, sums and means of the global batch. Guarantees: one rule for gradients, in
`gather` and `total`: every process returns a loss whose mean over processes is the recipe's, each collective's
backward is its adjoint, gradients are averaged over processes; then they are those of one process with all rows. With
one process every function returns what it is given. In a recorded world nothing is sent, and each call is recorded: so
`m3ic plan` knows what any module sends, whoever wrote it.
"""

from m3i_dsl.collectives.draw import drawn
from m3i_dsl.collectives.gather import gather, offset, own
from m3i_dsl.collectives.recorded import Operation, Purpose, Record, Sent, recorded, watched
from m3i_dsl.collectives.reduce import largest, mean, total
from m3i_dsl.collectives.world import World, alone, world

__all__ = [
    "Operation",
    "Purpose",
    "Record",
    "Sent",
    "World",
    "alone",
    "drawn",
    "gather",
    "largest",
    "mean",
    "offset",
    "own",
    "recorded",
    "total",
    "watched",
    "world",
]
