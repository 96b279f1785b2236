"""When data ends training: too many broken samples, or a process that decodes is gone.

Takes: what was skipped, how much was read, how a worker died. Gives: diagnostics. Guarantees: a few broken samples
never end a run, however early they come; the message names the first ones.
"""

from __future__ import annotations

from m3i_dsl.data.batch import Batch, BrokenLog
from m3i_dsl.data.sources import Exhausted, SourceFault
from m3i_dsl.diagnostics import RecipeError, error
from m3i_dsl.semantics.program import Program

ALWAYS_ALLOWED = 20
"""Broken samples. A share of the first batches would say little."""

NAMED = 5


class BrokenLimit:
    """`share` of the samples that were read may be broken; 1 is no limit."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._read = 0

    def check(self, program: Program, log: BrokenLog, batch: Batch) -> None:
        """Counts the rows of `batch`. Raises RecipeError (M3I0521)."""
        self._read += len(batch.samples) + len(batch.broken)
        if log.count <= max(ALWAYS_ALLOWED, self.share * self._read):
            return
        data = log.first[0].data
        first = [str(broken) for broken in log.first if broken.data == data][:NAMED]
        raise RecipeError(
            [
                error(
                    "M3I0521",
                    f"{log.count} samples of {self._read} read are broken, more than {100 * self.share:g}%",
                    program.data[data].source.span,
                    notes=tuple(f"broken: {name}" for name in first),
                    helps=("repair the data, or allow more of it to be broken with `--max-broken`",),
                )
            ]
        )


def unusable(program: Program, fault: SourceFault) -> RecipeError:
    """The fault for a source that ends training: M3I0521 when its last sample is gone, M3I0501 for anything else."""
    source = program.data[fault.data].source
    said = () if fault.help is None else (fault.help,)
    if not isinstance(fault, Exhausted):
        return RecipeError([error("M3I0501", fault.message, source.argument(fault.argument), helps=said)])
    helps = ("see that the files are there and can be read, then go on with `m3ic train --resume`",)
    return RecipeError([error("M3I0521", fault.message, source.span, notes=said, helps=helps)])


def worker_died(program: Program, death: Exception) -> RecipeError:
    """The fault (M3I0522) for a dead worker; `death` says which and how."""
    return RecipeError(
        [
            error(
                "M3I0522",
                "a process that decodes images is gone",
                program.training.span,
                notes=(str(death),),
                helps=(
                    "SIGKILL is mostly the system's answer to full memory, SIGBUS and `No space left` to a full"
                    " /dev/shm: use fewer `--workers` (0 needs none of it), or give the container more of either",
                    "too many open files: raise the limit with `ulimit -n`",
                ),
            )
        ]
    )
