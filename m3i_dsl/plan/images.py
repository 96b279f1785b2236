"""What the images of a step take besides decoding: their way to the device, and what is done to them there.

Takes: a program and the inputs of its graph. Gives: bytes of a sample. Guarantees: counted from the steps of the views
as training does them: what fixes the size is done before images travel as bytes, every later step reads and writes a
float32 image once.
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.data.assemble import viewed
from m3i_dsl.data.views import steps_of, until_sized
from m3i_dsl.ir.inputs import BatchInput
from m3i_dsl.semantics.program import Program

CHANNELS = 3
FLOAT = 4


def transferred(program: Program, inputs: Iterable[BatchInput]) -> int:
    """Bytes of the views of a sample, uint8, from the host to the device."""
    return sum(CHANNELS * pixels for pixels, _ in _views(program, inputs))


def augmented(program: Program, inputs: Iterable[BatchInput]) -> int:
    """Bytes that the device reads and writes for the views of a sample: bytes to floats, then step after step."""
    return sum(CHANNELS * pixels * (1 + FLOAT + 2 * FLOAT * steps) for pixels, steps in _views(program, inputs))


def _views(program: Program, inputs: Iterable[BatchInput]) -> Iterable[tuple[int, int]]:
    """(pixels, steps on the device) of each view."""
    for name in viewed(inputs):
        steps = steps_of([placed.word for placed in program.views[name].transforms])
        done, (height, width) = until_sized(steps)
        yield height * width, len(steps) - done
