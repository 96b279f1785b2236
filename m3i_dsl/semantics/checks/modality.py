"""Modality: a target representation reads the sort of data that it is given."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Program


def check_modality(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            wanted = target.representation.word.reads_of(target.encoder and target.encoder.word.word)
            for reference in target.data:
                if isinstance(reference.modality, wanted):
                    continue
                data = objective.input_of(reference.which).view.data
                legal = [field for field, modality in data.fields.items() if isinstance(modality, wanted)]
                if wanted.views:
                    legal = [view.name for view in program.views.values() if view.data is data]
                yield error(
                    "M3I0210",
                    f"`{target.representation.word.name}` represents {wanted.plural}, but the target's data is "
                    f"{reference.modality.singular}",
                    reference.span,
                    f"this is {reference.modality.singular}",
                    secondary=(Label(target.representation.span, f"represents {wanted.plural}"),),
                    helps=(f"write `data {legal[0]}`",) if legal else (f"`{data.name}` has no {wanted.name} field",),
                )
