"""A word of another package is drawn as one of ours: wired by what it makes, labelled by what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from m3i_dsl.drawing import Drawing, draw
from m3i_dsl.driver import check_file
from m3i_dsl.semantics.program import Target
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.kinds import (
    Encoder,
    Predictor,
    PredictorShape,
    Regularization,
    Representation,
    TargetParts,
    V,
)
from m3i_dsl.vocabulary.modalities import Image
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument
from tests.drawing.test_drawing import TWO


@dataclass(frozen=True, slots=True)
class Own(Representation):
    """What its module makes of a feature and of the pixels."""

    name = "own"
    reads = Image
    encoder = "image"
    table = "own"

    def width(self, encoder: Encoder | None, stride: int) -> int:
        return 12

    def target(self, parts: TargetParts[V]) -> V:
        return parts.represent(parts.pool(parts.encode(), "mean"), parts.image())


@dataclass(frozen=True, slots=True)
class OwnPixels(Own):
    """What its module makes of the pixels alone."""

    name = "own pixels"
    encoder = None

    def details(self) -> tuple[str, ...]:
        return ("edges only",)

    def target(self, parts: TargetParts[V]) -> V:
        return parts.represent(parts.image())


@dataclass(frozen=True, slots=True)
class TrainedPixels(OwnPixels):
    """The same with parameters of its own."""

    name = "trained pixels"
    trained = True


@dataclass(frozen=True, slots=True)
class OwnPredictor(Predictor):
    """One that says nothing of itself, whatever its arguments are called."""

    name = "own predictor"

    layers: Count = argument(3, doc="not asked for")

    def build(self, shape: PredictorShape) -> object:  # type: ignore[override]  # pictures build nothing
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class OwnTerm(Regularization):
    """A term of the loss."""

    name = "own term"
    penalizes = True


def _drawn(**words: object) -> Drawing:
    program = check_file(SourceFile("recipe.m3i", TWO)).required()
    first, second = program.objectives
    (target,) = first.targets
    changed: Target = replace(target, **words)  # type: ignore[arg-type]  # fields of a target by name
    return draw(replace(program, objectives=(replace(first, targets=(changed,)), second)))


def _target(representation: Representation) -> tuple[Drawing, list[tuple[str, str, bool]]]:
    program = check_file(SourceFile("recipe.m3i", TWO)).required()
    (target,) = program.objectives[0].targets
    encoder = target.encoder if representation.encoder else None
    drawing = _drawn(representation=replace(target.representation, word=representation), encoder=encoder)
    into = [(e.source, e.label, e.stop_gradient) for e in drawing.edges if e.target == "target first.own"]
    return drawing, into


def test_a_target_has_an_arrow_from_all_that_it_is_made_of() -> None:
    drawing, into = _target(Own())
    assert into == [("call still on view view1", "", False), ("view view1", "y", False)]
    node = drawing.node("target first.own")
    assert (node.branch, node.details) == ("frozen", ("own",))


@pytest.mark.parametrize(("word", "branch"), [(OwnPixels(), "data"), (TrainedPixels(), "target")])
def test_a_target_without_encoder_is_of_the_data_unless_it_is_trained(word: Representation, branch: str) -> None:
    drawing, into = _target(word)
    assert into == [("view view1", "y", False)]
    node = drawing.node("target first.own")
    assert (node.branch, node.details) == (branch, (word.name, "edges only"))
    assert not drawing.of_kind("call")[1:], "nothing else is encoded"


def test_a_word_that_says_nothing_is_its_name() -> None:
    program = check_file(SourceFile("recipe.m3i", TWO)).required()
    (target,) = program.objectives[0].targets
    (stop,) = target.regularizations
    drawing = _drawn(
        predictor=replace(target.predictor, word=OwnPredictor()), regularizations=(stop, replace(stop, word=OwnTerm()))
    )
    predictor = drawing.node("predictor first.own")
    assert (predictor.title, predictor.details, predictor.about) == ("own predictor", (), "own predictor(layers: 3)")
    assert drawing.node("loss first.own").details == ("own term",)
