"""Where the defaults of a program come from.

Takes: a `Program`. Gives: one entry for each argument and each setting that the recipe leaves out, with its value and
the source of the default. Guarantees: what a recipe writes is not listed; every default has an origin, for words
declare one and those of settings are here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from m3i_dsl.semantics.program import Objective, Placed, Program, Target
from m3i_dsl.semantics.training import Training
from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.values import duration_text, number_text
from m3i_dsl.vocabulary.word import Word, argument_text

OURS = "our choice"


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
    for data in program.data.values():
        yield from _arguments(f"data {data.name}", data.source)
    for view in program.views.values():
        for transform in view.transforms if view.place is None or view.place.index == 0 else ():
            yield from _arguments(f"view {view.declared_as}", transform)
    for encoder in program.encoders.values():
        if encoder.of is None:
            yield from _arguments(f"encoder {encoder.name}", encoder.word)
    for default in _of_training(program):
        yield default if program.stage is None else replace(default, where=f"stage {program.stage}: {default.where}")


def _of_training(program: Program) -> Iterator[Default]:
    for objective in program.objectives:
        yield from _objective(objective)
    yield from _training(program.training)
    for evaluation in program.evaluations:
        yield from _arguments("evaluate", evaluation.evaluator)


def _arguments(where: str, placed: Placed[Word]) -> Iterator[Default]:
    for parameter in placed.word.parameters():
        value = getattr(placed.word, parameter.name)
        if parameter.name not in placed.arguments and value is not None:
            name = f"{where}: {placed.word.name}.{parameter.name}"
            yield Default(name, argument_text(value, parameter.type), parameter.origin)


def _setting(where: str, keyword: str, written: bool, placed: Placed[Word], origin: str) -> Iterator[Default]:
    """A setting that is a word: the word and all its arguments when it is left out, else the arguments left out."""
    if written:
        yield from _arguments(where, placed)
    else:
        yield Default(f"{where}: {keyword}", placed.word.text(), origin)


def _objective(objective: Objective) -> Iterator[Default]:
    where = f"objective {objective.name}"
    if objective.mix is not None:
        yield from _arguments(where, objective.mix)
    for shown in objective.inputs:
        if shown.blend is not None:
            yield from _arguments(where, shown.blend)
        if shown.mask is not None and (shown.view.place is None or shown.view.place.index == 0):
            yield from _setting(
                where, "by", shown.mask.span != shown.span, shown.mask, "BERT" if objective.of_texts else "SiameseIM"
            )
    for target in objective.targets:
        yield from _target(target, objective.several)
    yield from _setting(where, "weighting", "weighting" in objective.settings, objective.weighting, OURS)
    if "symmetric" not in objective.settings:
        yield Default(f"{where}: symmetric", "false", OURS)


def _target(target: Target, several: bool) -> Iterator[Default]:
    where = f"target {target.name}"
    if several and "pairs" not in target.settings:
        yield Default(f"{where}: pairs", target.pairs, OURS)
    yield from _arguments(where, target.representation)
    yield from _setting(where, "predictor", "predictor" in target.settings, target.predictor, "paper")
    for regularization in target.regularizations:
        yield from _arguments(where, regularization)
    yield from _arguments(where, target.distribution)
    if target.distribution.word.contrasts and not any(_names_candidates(p) for p in target.regularizations):
        # The row Global Distillation: `boltzmann` with `stop gradient` alone.
        yield Default(f"{where}: candidates", "the targets of the batch", "paper")
    if "weight" not in target.settings:
        yield Default(f"{where}: weight", number_text(target.weight), OURS)


def _names_candidates(placed: Placed[Regularization]) -> bool:
    return placed.word.candidates is not None


def _training(training: Training) -> Iterator[Default]:
    if "warmup" not in training.settings:
        yield Default("train: warmup", duration_text(training.warmup), OURS)
    yield from _arguments("train", training.optimizer)
    yield from _setting("train", "schedule", "schedule" in training.settings, training.schedule, OURS)
    for keyword, text in (("precision", training.precision), ("seed", str(training.seed)), ("clip", "no clipping")):
        if keyword not in training.settings:
            yield Default(f"train: {keyword}", text, OURS)
