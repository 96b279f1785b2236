"""What must hold of every recipe, whatever it combines: one file each.

Takes: a `Case`. Gives: `PROPERTIES`, in the order in which they are tested. Each finds faults that the others do not:

float64        a part that computes with fewer bits than it is given
finite         a loss that overflows, a square root at zero
isolation      a stop gradient that is missing, an encoder that nothing trains
permutation    a sample that is compared with its neighbour in the batch
leak           a mask that lets pixels through
fused          a pass that changes the result
accumulation   a word that couples the batch and does not say so
collapse       a constant that is the best representation
overfit        a loss that cannot be lowered
bf16           a loss or statistic that needs more bits
checkpoint     state that is not saved
"""

from m3i_dsl.testing.outcome import Property
from m3i_dsl.testing.properties.accumulation import ACCUMULATION
from m3i_dsl.testing.properties.checkpoint import CHECKPOINT
from m3i_dsl.testing.properties.collapse import COLLAPSE
from m3i_dsl.testing.properties.finite import FINITE
from m3i_dsl.testing.properties.fused import FUSED
from m3i_dsl.testing.properties.isolation import ISOLATION
from m3i_dsl.testing.properties.leak import LEAK
from m3i_dsl.testing.properties.overfit import OVERFIT
from m3i_dsl.testing.properties.permutation import PERMUTATION
from m3i_dsl.testing.properties.precision import PRECISION
from m3i_dsl.testing.properties.width import WIDTH

PROPERTIES: tuple[Property, ...] = (
    WIDTH,
    FINITE,
    ISOLATION,
    PERMUTATION,
    LEAK,
    FUSED,
    ACCUMULATION,
    COLLAPSE,
    OVERFIT,
    PRECISION,
    CHECKPOINT,
)
