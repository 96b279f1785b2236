"""Where the defaults of a program come from.

Takes: a `Program`. Gives: one entry for each argument that the recipe leaves out, with its value and the source of the
default. Guarantees: what a recipe writes is not listed; every default has an origin, for words declare one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from m3i_dsl.semantics.program import Placed, Program
from m3i_dsl.vocabulary.word import Word, argument_text


@dataclass(frozen=True, slots=True)
class Default:
    """`where` the value stands ("target intra: decoder.width"), its `text`, and its `origin`."""

    where: str
    text: str
    origin: str

    def record(self) -> dict[str, str]:
        return asdict(self)


def defaults(program: Program) -> Iterator[Default]:
    """The defaults in force, in the order of the recipe."""
    for where, placed in _placed(program):
        for parameter in placed.word.parameters():
            value = getattr(placed.word, parameter.name)
            if parameter.name not in placed.arguments and value is not None:
                name = f"{where}: {placed.word.name}.{parameter.name}"
                yield Default(name, argument_text(value, parameter.type), parameter.origin)


def _placed(program: Program) -> Iterator[tuple[str, Placed[Word]]]:
    for data in program.data.values():
        yield f"data {data.name}", data.source
    for view in program.views.values():
        for transform in view.transforms:
            yield f"view {view.name}", transform
    for encoder in program.encoders.values():
        if encoder.of is None:
            yield f"encoder {encoder.name}", encoder.word
    for objective in program.objectives:
        where = f"objective {objective.name}"
        if objective.mix is not None:
            yield where, objective.mix
        if objective.mask is not None:
            yield where, objective.mask
        yield where, objective.represent
        for target in objective.targets:
            yield f"target {target.name}", target.representation
            yield f"target {target.name}", target.predictor
            for regularization in target.regularizations:
                yield f"target {target.name}", regularization
            yield f"target {target.name}", target.distribution
        yield where, objective.weighting
    yield "train", program.training.optimizer
    yield "train", program.training.schedule
    for evaluation in program.evaluations:
        yield "evaluate", evaluation.evaluator
