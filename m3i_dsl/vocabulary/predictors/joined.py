"""Predictors joined by `|`: each maps what the one before it yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from m3i_dsl.vocabulary.kinds import Pooling, Predictor, PredictorCall, PredictorShape
from m3i_dsl.vocabulary.limits import Limits
from m3i_dsl.vocabulary.word import PURE, Effect, Parameter, Word

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Joined(Predictor):
    """f_n(... f_1(z_x)), written `f_1 | ... | f_n`. Widths flow from left to right, the last takes the target's.

    Only the first may ask for positions or pool; the others map what it yields (our choice). It is no word that a
    recipe names, and so is in no list of words.
    """

    name = "joined predictors"

    parts: tuple[Predictor, ...]

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        return ()

    def inner(self) -> tuple[Word, ...]:
        return self.parts

    def text(self) -> str:
        return " | ".join(part.text() for part in self.parts)

    def details(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    def shrunk(self, limits: Limits) -> Joined:
        return Joined(tuple(part.shrunk(limits) for part in self.parts))

    def effects_of(self) -> frozenset[Effect]:
        return frozenset[Effect](PURE).union(*(part.effects_of() for part in self.parts))

    @property
    def queries(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]  # of the first, not of the class
        return self.parts[0].queries

    @property
    def keeps_prefix(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.parts[0].keeps_prefix

    @property
    def pools(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.parts[0].pools

    @property
    def per_token(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(part.per_token for part in self.parts)

    @property
    def changes(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(part.changes for part in self.parts)

    @property
    def scores_prototypes(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.parts[-1].scores_prototypes

    def codes(self) -> int | None:
        return self.parts[-1].codes()

    def pooling(self) -> Pooling:
        return self.parts[0].pooling()

    def relative(self) -> bool:
        return self.parts[0].relative()

    def trims(self) -> bool:
        """What maps each token by itself may be given only those that are needed."""
        return self.parts[0].trims() and all(part.per_token for part in self.parts[1:])

    def shares_queries(self) -> bool:
        return self.parts[0].shares_queries()

    def output_width(self, given: int, wanted: int) -> int:
        return list(self._widths(given, wanted))[-1][2]

    def as_wide_as_target(self) -> bool:
        return self.parts[-1].as_wide_as_target()

    def check(self, call: PredictorCall) -> None:
        for part, before, after in self._widths(call.input_width, call.output_width):
            part.check(replace(call, input_width=before, output_width=after))

    def build(self, shape: PredictorShape) -> nn.Module:
        from m3i_dsl.modules.predictors.joined import JoinedHead

        first, *others = self._widths(shape.input_width, shape.output_width)
        modules = [first[0].build(PredictorShape(first[1], first[2], shape.sources))]
        return JoinedHead([*modules, *(part.build(PredictorShape(before, after)) for part, before, after in others)])

    def _widths(self, given: int, wanted: int) -> Iterator[tuple[Predictor, int, int]]:
        """Each part with the channels that it is given and yields."""
        for part in self.parts[:-1]:
            yielded = part.output_width(given, 0)
            yield part, given, yielded
            given = yielded
        yield self.parts[-1], given, self.parts[-1].output_width(given, wanted)
