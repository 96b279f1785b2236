"""What an artifact says about a compiled program.

Takes: an executable. Gives: its readable listing, its parameters and the summary of the manifest. Guarantees: the same
program gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.artifact.fingerprint import ParameterRecord
from m3i_dsl.artifact.manifest import EncoderCalls, ParameterCounts, Summary, TargetRow
from m3i_dsl.ir.graph import Graph, encoder_calls
from m3i_dsl.lower.executable import Executable
from m3i_dsl.semantics.table import row_of


def listing(executable: Executable) -> str:
    """The generated forward with the recipe line above each call; for people, never loaded."""
    text = executable.module.print_readable(print_output=False)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def parameter_records(executable: Executable) -> tuple[ParameterRecord, ...]:
    """Name, shape and dtype of every parameter, in order."""
    return tuple(
        ParameterRecord(name, tuple(parameter.shape), str(parameter.dtype).removeprefix("torch."))
        for name, parameter in executable.module.named_parameters()
    )


def parameter_counts(executable: Executable) -> ParameterCounts:
    """Numbers of scalars that are trained, averaged, and frozen."""
    averaged = {id(p) for average in executable.averages for p in average.average.parameters()}
    counts = {"trained": 0, "averaged": 0, "frozen": 0}
    for parameter in executable.module.parameters():
        kind = "averaged" if id(parameter) in averaged else "trained" if parameter.requires_grad else "frozen"
        counts[kind] += parameter.numel()
    return ParameterCounts(**counts)


def summary(executable: Executable, plain: Graph) -> Summary:
    """Table rows, encoder calls before and after the passes, parameter counts."""
    return Summary(
        targets=tuple(_target_rows(executable)),
        encoder_calls=EncoderCalls(before=encoder_calls(plain), after=encoder_calls(executable.graph)),
        parameters=parameter_counts(executable),
    )


def _target_rows(executable: Executable) -> Iterator[TargetRow]:
    for objective in executable.program.objectives:
        for target in objective.targets:
            row = row_of(objective, target)
            yield TargetRow(
                objective=objective.name,
                target=target.name,
                input_data=row.input_data,
                target_data=row.target_data,
                input_representation=row.input_representation,
                target_representation=row.target_representation,
                regularization=row.regularization,
                distribution=row.distribution,
            )
