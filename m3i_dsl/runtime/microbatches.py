"""Gradient accumulation: the global batch in equal microbatches, one after the other.

Takes: a batch and a number of microbatches. Gives: the microbatches. Guarantees: refused when it would change what the
recipe means, that is, when a word couples the samples of a batch, or when the microbatches would be unequal, would part
a mixed pair or have other shares of a mixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from m3i_dsl.diagnostics import Diagnostic, RecipeError, error
from m3i_dsl.runtime.faults import ACCUMULATION_COUPLED, ACCUMULATION_UNEVEN
from m3i_dsl.runtime.interfaces import Batch
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import Span

Coupled = tuple[str, Span]
"""What couples the samples of a batch ("`negative samples` compares every sample with all others of the batch"), and
where.
"""


def check_accumulation(program: Program, microbatches: int, coupled: Sequence[Coupled], processes: int = 1) -> None:
    """For each of `processes`, which share the batch. Raises RecipeError (M3I0703 for each word that couples the
    batch, M3I0704 for microbatches that are not equal).
    """
    if microbatches == 1:
        return
    batch = program.training.batch
    found: list[Diagnostic] = [
        error(
            ACCUMULATION_COUPLED,
            f"`--accumulate {microbatches}` would change what this recipe means: {description}",
            span,
            "needs the whole batch at once",
            notes=(
                f"each of the {microbatches} microbatches would be taken as a batch of {batch // microbatches}",
                "several processes (`--nproc-per-node`) share a batch without such a change",
            ),
            helps=("train without `--accumulate`, or on a device with more memory",),
        )
        for description, span in coupled
    ]
    if not program.can_share(microbatches * processes):
        part = program.unit_name if batch % (microbatches * processes) == 0 else "samples"
        among = f", for each of {processes} processes" if processes > 1 else ""
        found.append(
            error(
                ACCUMULATION_UNEVEN,
                f"a batch of {batch} cannot be cut into {microbatches} equal microbatches of {part}{among}",
                program.training.settings.get("batch", program.training.span),
                helps=(f"`--accumulate` can be {_choices(program, processes)} for this batch",),
            )
        )
    if found:
        raise RecipeError(found)


def microbatches_of(batch: Batch, microbatches: int) -> Iterator[Batch]:
    """`microbatches` equal parts of the batch, in order.

    The first dimension of every tensor is the batch, or a fixed share of it.
    """
    if microbatches == 1:
        yield batch
        return
    parts = {name: tensor.chunk(microbatches) for name, tensor in batch.items()}
    for index in range(microbatches):
        yield {name: part[index] for name, part in parts.items()}


def _choices(program: Program, processes: int) -> str:
    shares = [share for share in program.possible_shares() if share % processes == 0 and share > processes]
    fitting = [share // processes for share in shares]
    return ", ".join(map(str, fitting[:8])) if fitting else "1 only"
