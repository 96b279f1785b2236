"""Several programs that are trained one after the other.

Takes: nothing (semantics/elaborate.py builds it). Gives: `Pipeline`, which stands above `Program`. Guarantees: each
stage is a whole program, so that nothing below the driver knows of stages; a recipe without stages is a pipeline of one
program whose `stage` is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from m3i_dsl.semantics.program import EncoderDeclaration, Program

DeclarationKind = Literal["data", "view", "encoder"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages of a recipe, in order. `declared` are the names of its data, views and encoders, in order."""

    stages: tuple[Program, ...]
    declared: Mapping[DeclarationKind, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.stages[0].name

    @property
    def staged(self) -> bool:
        """Whether the recipe has stages with names."""
        return self.stages[0].stage is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages; none in a recipe without stages."""
        return tuple(program.stage for program in self.stages if program.stage is not None)

    def all(self, kind: DeclarationKind, of: Callable[[Program], Mapping[str, T]]) -> list[T]:
        """What the stages read of a kind, each once, in the order of the recipe."""
        found = {name: value for program in self.stages for name, value in of(program).items()}
        places = {name: place for place, name in enumerate(self.declared[kind])}
        return [found[name] for name in sorted(found, key=lambda name: places[name.partition("[")[0]])]

    def upto(self, stage: str) -> Pipeline:
        """This pipeline, ended after a stage: what its result depends on."""
        return replace(self, stages=self.stages[: self.names.index(stage) + 1])


def folder_name(place: int, stage: str) -> str:
    """The folder of the stage that is the `place`-th, counted from 0: `1-pixels`."""
    return f"{place + 1}-{stage}"


def trained_in(program: Program) -> Iterator[EncoderDeclaration]:
    """The encoders that a program trains, each once."""
    used = [objective.encoder for objective in program.objectives]
    used += [t.encoder for o in program.objectives for t in o.targets if t.encoder is not None]
    yield from {encoder.name: encoder for encoder in used if encoder.trained}.values()


def read_in(program: Program) -> Iterator[EncoderDeclaration]:
    """The encoders whose weights a program starts from: its own, what they are copies of, and what they start from."""
    used = [objective.encoder for objective in program.objectives]
    used += [t.encoder for o in program.objectives for t in o.targets if t.encoder is not None]
    for encoder in used:
        own = encoder if encoder.of is None else program.encoders[encoder.of]
        yield own
        if own.start is not None:
            yield program.encoders[own.start]
