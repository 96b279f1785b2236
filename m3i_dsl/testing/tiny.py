"""A recipe made small: the same words and wiring, in sizes that compute in milliseconds.

Takes: a checked program. Gives: a program with narrow and shallow encoders, a grid of a few tokens, a batch of 8 and
short queues. Guarantees: no text is edited and no place is lost, every part is the same word with smaller arguments;
the result passes every check that the recipe passes. Weights to start from are left out, and so are stochastic depth
and noise: a step of the result is a function of its inputs, unless a model itself draws numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar, cast

from m3i_dsl.semantics.checks import ERRORS
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Mixture, Objective, Program, View
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.kinds import ImageEncoder, WordError
from m3i_dsl.vocabulary.limits import TINY_BATCH, Limits
from m3i_dsl.vocabulary.word import Word

GRIDS = (4, 6, 8)
"""Tokens on a side at most; the next is tried when a mask does not fit."""

T = TypeVar("T")


def tiny(program: Program) -> Program:
    """`program` with small sizes; with no more than a small batch if nothing smaller passes the checks."""
    known = _faults(program)
    for side in GRIDS:
        try:
            small = _Shrinking(program, side).program()
            if _faults(small) <= known:
                return small
        except WordError:
            continue
    return _with_batch(program)


def _faults(program: Program) -> set[str]:
    """The codes of what is wrong; a program that was not checked may have some from the start."""
    return {diagnostic.code for check in ERRORS for diagnostic in check(program)}


def _with_batch(program: Program) -> Program:
    """With the smallest batch from `TINY_BATCH` on that two microbatches can share."""
    two = 2 * program.unit
    return replace(program, training=replace(program.training, batch=-(-TINY_BATCH // two) * two))


def _even(mixture: Mixture, sources: tuple[Data, ...]) -> Mixture:
    """The same sources in equal shares: the shortest pattern."""
    part = Fraction(1, len(sources))
    shares = (replace(s, data=data, part=part, written="1") for s, data in zip(mixture.shares, sources, strict=True))
    return replace(mixture, shares=tuple(shares))


class _Shrinking:
    """Rebuilds a program part by part; what was one object stays one, for views and encoders are compared by it."""

    def __init__(self, program: Program, side: int) -> None:
        self._program = program
        self._side = side
        self._done: dict[int, Any] = {}
        self._stride: tuple[int, int] | None = None
        """Old and new pixels per token of the encoder that the objective at hand is of."""
        encoders = [declared.word.word.as_image() for declared in program.encoders.values()]
        self._images = _image_sizes([word for word in encoders if word is not None], side)
        for objective in program.objectives:
            self._other_sizes(objective)

    def program(self) -> Program:
        return _with_batch(self.part(self._program))

    def part(self, value: T) -> T:
        """`value` with small sizes, whatever it is."""
        found: Any = value
        match value:
            case Word():
                return cast(T, value.shrunk(Limits(self._side, self._images, self._stride)))
            case Span() | SourceFile() | str():
                return value
            case tuple():
                return cast(T, tuple(self.part(item) for item in cast(tuple[Any, ...], found)))
            case Mapping():
                return cast(T, {key: self.part(item) for key, item in cast(Mapping[str, Any], found).items()})
            case _ if is_dataclass(found) and not isinstance(found, type):
                if id(value) not in self._done:
                    self._done[id(value)] = self._dataclass(found)
                return self._done[id(value)]
            case _:
                return value

    def _dataclass(self, value: Any) -> Any:
        if isinstance(value, Mixture):
            return _even(value, self.part(value.sources))
        if isinstance(value, Objective):
            self._stride = self._strides(value.encoder)
        changed = {item.name: self.part(getattr(value, item.name)) for item in fields(value)}
        if isinstance(value, View):
            changed["size"] = tuple(self._images.get(side, side) for side in value.size)
        if isinstance(value, EncoderDeclaration):
            changed["weights"] = None
        return replace(value, **changed)

    def _strides(self, encoder: EncoderDeclaration) -> tuple[int, int] | None:
        if encoder.word.word.as_image() is None:
            return None
        return encoder.image.shape().stride, self.part(encoder).image.shape().stride

    def _other_sizes(self, objective: Objective) -> None:
        """Views of another size than their encoder's get as many of its new tokens as there were, in proportion."""
        views = [shown.view for shown in objective.inputs if isinstance(shown.view, View)]
        if not views:
            return
        old, new = objective.encoder.image.shape(), self.part(objective.encoder).image.shape()
        for size in sorted({size for view in views for size in view.size} - set(self._images)):
            tokens = size // old.stride * new.grid.rows // old.grid.rows
            self._images[size] = max(1, tokens) * new.stride


def _image_sizes(encoders: list[ImageEncoder], side: int) -> dict[int, int]:
    """The new height and width of the images of each size: whole tokens of every encoder that sees them."""
    found: dict[int, int] = {}
    for size in {encoder.shape().image[0] for encoder in encoders}:
        seeing = [encoder for encoder in encoders if encoder.shape().image[0] == size]
        found[size] = min(size, math.lcm(*(encoder.tiny_image(side) for encoder in seeing)))
    return found
