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
from m3i_dsl.vocabulary.encoders.catalogue import timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import ImageEncoder, Transform, WordError
from m3i_dsl.vocabulary.masks.grid import GridMask
from m3i_dsl.vocabulary.word import Parameter, Word

BATCH = 8
WIDTH = 24
"""Of everything that has a width: one number fits wherever two widths had to be equal."""

GRIDS = (4, 6, 8)
"""Tokens on a side at most; the next is tried when a mask does not fit."""

_AT_MOST = {
    "layers": 2,
    "depth": 2,
    "heads": 2,
    "groups": 4,
    "hidden": 2 * WIDTH,
    "context": 12,
    "tokens": 4,
    "minimum": 2,
    "block": 2,
}
_EXACTLY = {"width": WIDTH, "size": WIDTH, "queue": 2 * BATCH}
_NONE = {"drop_path": 0.0, "noise": 0.0}
"""Arguments by name; the first two are whole numbers without a unit."""

_SMALLEST = {"resnet": "resnet10t", "convnext": "convnext_atto"}
_PATCHED = ("vit",)

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
    """With the smallest batch from `BATCH` on that two slices can share."""
    two = 2 * program.unit
    return replace(program, training=replace(program.training, batch=-(-BATCH // two) * two))


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
        self._cell: tuple[int, int] | None = None
        """Old and new pixels per token of the encoder that the objective at hand is of."""
        encoders = [declared.word.word for declared in program.encoders.values()]
        self._images = _image_sizes([word for word in encoders if isinstance(word, ImageEncoder)], side)
        for objective in program.objectives:
            self._other_sizes(objective)

    def program(self) -> Program:
        return _with_batch(self.part(self._program))

    def part(self, value: T) -> T:
        """`value` with small sizes, whatever it is."""
        found: Any = value
        match value:
            case Word():
                return cast(T, self._word(value))
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
            self._cell = self._cells(value.encoder)
        changed = {item.name: self.part(getattr(value, item.name)) for item in fields(value)}
        if isinstance(value, View):
            changed["size"] = tuple(self._images.get(side, side) for side in value.size)
        if isinstance(value, EncoderDeclaration):
            changed["weights"] = None
        return replace(value, **changed)

    def _cells(self, encoder: EncoderDeclaration) -> tuple[int, int]:
        old, new = encoder.word.word, self.part(encoder).word.word
        assert isinstance(old, ImageEncoder) and isinstance(new, ImageEncoder)
        return old.shape().stride, new.shape().stride

    def _other_sizes(self, objective: Objective) -> None:
        """Views of another size than their encoder's get as many of its new tokens as there were, in proportion."""
        word = objective.encoder.image
        old = word.shape()
        new = self.part(objective.encoder.word.word)
        assert isinstance(new, ImageEncoder)
        for size in sorted({size for shown in objective.inputs for size in shown.view.size} - set(self._images)):
            tokens = size // old.stride * new.shape().grid.rows // old.grid.rows
            self._images[size] = max(1, tokens) * new.shape().stride

    # --- words --------------------------------------------------------------------------------------------------------

    def _word(self, word: Word) -> Word:
        changed = {p.name: self._argument(p, getattr(word, p.name), word) for p in word.parameters()}
        small: Word = replace(cast(Any, word), **changed)
        match small:
            case Timm():
                return self._timm(cast(Timm, word), small)
            case Transformer():
                return replace(small, tokenizer="bytes", file=None)
            case GridMask():
                return self._grid_mask(cast(GridMask, word))
            case _:
                return small

    def _argument(self, parameter: Parameter, value: Any, word: Word) -> Any:
        quantity = parameter.type.quantity
        if isinstance(value, Word):
            return self._word(value)
        if value is None or quantity is None:
            return value
        if parameter.name in _NONE:
            return _NONE[parameter.name]
        if quantity.unit == "px" and isinstance(word, Transform) and isinstance(value, int):
            return self._images.get(value, value)
        if not quantity.whole or quantity.unit:
            return value
        if parameter.name in _EXACTLY:
            return _EXACTLY[parameter.name]
        return min(value, _AT_MOST.get(parameter.name, value))

    def _timm(self, word: Timm, small: Timm) -> Timm:
        entry = timm_model(word.model)
        image = self._images[word.image]
        small = replace(small, image=image, pretrained=False, weights=None)
        if entry.family in _PATCHED:
            patch = image // min(self._side, word.shape().grid.rows)
            heads = 2 if (word.heads or entry.heads) > 1 else 1
            return replace(small, patch=patch, width=WIDTH, depth=2, heads=heads)
        if entry.family in _SMALLEST and word.patch is None and entry.size != "fixed":
            return replace(small, model=_SMALLEST[entry.family], stride=8)
        return small

    def _grid_mask(self, mask: GridMask) -> GridMask:
        assert self._cell is not None, "a mask belongs to an objective"
        old, new = self._cell
        return replace(mask, cell=min(2, mask.cell // old) * new)


def _image_sizes(encoders: list[ImageEncoder], side: int) -> dict[int, int]:
    """The new height and width of the images of each size: whole tokens of every encoder that sees them."""
    found: dict[int, int] = {}
    for size in {encoder.shape().image[0] for encoder in encoders}:
        smallest = 1
        for encoder in encoders:
            if encoder.shape().image[0] == size:
                smallest = math.lcm(smallest, _smallest_image(encoder, side))
        found[size] = min(size, smallest)
    return found


def _smallest_image(encoder: ImageEncoder, side: int) -> int:
    """The size at which an encoder has at most `side` tokens on a side; other sizes are multiples of it."""
    shape = encoder.shape()
    if not isinstance(encoder, Timm):
        return shape.image[0]
    entry = timm_model(encoder.model)
    rows = min(side, shape.grid.rows)
    if entry.size == "fixed":
        return shape.image[0]
    if entry.family in _PATCHED:
        return 4 * rows
    if entry.family in _SMALLEST and encoder.patch is None:
        return 8 * rows
    return shape.stride * rows
