"""Modality: a target representation reads the sort of data that it is given."""

from __future__ import annotations

from collections.abc import Iterator

from m3i_dsl.diagnostics import Diagnostic, Label, error
from m3i_dsl.semantics.program import Program


def check_modality(program: Program) -> Iterator[Diagnostic]:
    for objective in program.objectives:
        for target in objective.targets:
            wanted = target.representation.word.reads
            for reference in target.data:
                if reference.modality == wanted:
                    continue
                data = objective.input_of(reference.which).view.data
                legal = [field for field, modality in data.fields.items() if modality == wanted]
                if wanted == "image":
                    legal = [view.name for view in program.views.values() if view.data is data]
                yield error(
                    "M3I0210",
                    f"`{target.representation.word.name}` represents {_plural(wanted)}, but the target's data is "
                    f"{_singular(reference.modality)}",
                    reference.span,
                    f"this is {_singular(reference.modality)}",
                    secondary=(Label(target.representation.span, f"represents {_plural(wanted)}"),),
                    helps=(f"write `data {legal[0]}`",) if legal else (f"`{data.name}` has no {wanted} field",),
                )


def _plural(modality: str) -> str:
    return {"image": "images", "text": "texts", "category": "categories"}[modality]


def _singular(modality: str) -> str:
    return {"image": "an image", "text": "a text", "category": "a category"}[modality]
