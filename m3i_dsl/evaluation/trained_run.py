"""From a compiled program with trained weights to what is measured and exported.

Takes: an `Executable` and the folder of its recipe. Gives: the encoders that can be measured, each as a subject, the
splits to measure on, and an encoder as a timm `Backbone`. Guarantees: an encoder is measured on images of the size and
normalisation of the view that it is trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from m3i_dsl.data.evaluation import LabelledSource, normalization
from m3i_dsl.data.sources import opening
from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.export import Backbone
from m3i_dsl.evaluation.features import Precision
from m3i_dsl.evaluation.measure import Evaluation, LeftOut
from m3i_dsl.evaluation.streamed import StreamedSplit
from m3i_dsl.evaluation.subject import EncoderSubject
from m3i_dsl.evaluation.text_path import text_path_of
from m3i_dsl.lower.executable import Executable
from m3i_dsl.lower.parts import Group
from m3i_dsl.runtime.options import Callback
from m3i_dsl.semantics.checks.evaluation import evaluated_data
from m3i_dsl.semantics.program import Program, View
from m3i_dsl.semantics.training import EvaluationDeclaration
from m3i_dsl.vocabulary.evaluators import DEFAULTS
from m3i_dsl.vocabulary.kinds import ALONE, Dataset, Evaluator, Result, Score, Splits, Team, WordError


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run whose weights are in `executable`.

    `base` is the recipe's folder; `untrained` builds the program anew with its first weights; `categories` are the
    class names of each data, in label order; `step` counts the completed steps.
    """

    path: Path
    executable: Executable
    base: Path
    untrained: Callable[[], Executable]
    categories: dict[str, tuple[str, ...]]
    step: int
    fingerprint: str
    device: torch.device

    @property
    def program(self) -> Program:
        return self.executable.program


def measured_encoder(program: Program, name: str | None = None) -> str:
    """The encoder `name`, or the one that the first objective trains. Raises EvaluationError (M3I0760)."""
    images = [encoder.name for encoder in program.encoders.values() if encoder.word.word.as_image() is not None]
    trained = program.of_images
    if trained is None:
        raise errors.EvaluationError(
            errors.NO_SUCH_ENCODER,
            "no objective of the recipe trains an encoder of images, which is what is measured",
            help="export or measure a run whose input is a view",
        )
    chosen = trained.encoder.name if name is None else name
    if chosen not in images:
        raise errors.EvaluationError(
            errors.NO_SUCH_ENCODER,
            f"the recipe has no image encoder `{chosen}`",
            help="choose one with `--encoder`: " + ", ".join(f"`{image}`" for image in images),
        )
    return chosen


def built_encoder(executable: Executable, name: str) -> nn.Module:
    """The module of encoder `name`. Raises EvaluationError (M3I0760) for one that no target uses."""
    if name not in executable.encoders:
        raise errors.EvaluationError(
            errors.NO_SUCH_ENCODER,
            f"encoder `{name}` takes no part in training, so the run has no weights of it",
            help="choose another with `--encoder`: " + ", ".join(f"`{other}`" for other in executable.encoders),
        )
    return executable.encoders[name]


def subject_of(executable: Executable, name: str, base: Path, team: Team = ALONE) -> EncoderSubject:
    """Encoder `name` of a program as what is measured, with the text path of the objective that trains it."""
    program = executable.program
    encoder = built_encoder(executable, name)
    on_gpu = next(encoder.parameters()).is_cuda
    precision: Precision = "bf16" if program.training.precision == "bf16" and on_gpu else "fp32"
    prefix = program.encoders[name].image.shape().prefix
    return EncoderSubject(encoder, prefix, text_path_of(executable, name, base), precision, team=team)


def view_of(program: Program, encoder: str) -> View:
    """The view that the encoder sees in training: its size and normalisation are those of evaluation.

    Of a teacher with a size or statistics of its own, as it is given the view.
    """
    declaration = program.encoders[encoder]
    trained = declaration.of or encoder
    views = [(o.encoder.name, shown.view) for o in program.objectives for shown in o.inputs[:1]]
    shown = [(name, view) for name, view in views if isinstance(view, View)]
    view = next((view for name, view in shown if name == trained), shown[0][1])
    wanted, given = declaration.image.statistics(), normalization(view)
    *steps, last = view.transforms
    word = replace(given, mean=wanted.mean or given.mean, std=wanted.std or given.std)
    size = declaration.image.shape().image if declaration.image.resizes() else view.size
    return replace(view, transforms=(*steps, replace(last, word=word)), size=size)


def evaluation_of(
    run: TrainedRun,
    encoder: str,
    *,
    limit: int | None = None,
    workers: int = 0,
    team: Team = ALONE,
    learned: Callable[[LeftOut], object] | None = None,
) -> Evaluation:
    """The splits of the data that the encoder was trained on (of a mixture: `evaluated_data`), ready to measure on;
    nothing is decoded yet.

    `limit` takes so many samples of each split, spread evenly; `workers` processes decode them for each of the `team`;
    `learned` is told of samples that cannot be read, once. Raises EvaluationError (M3I0750) when the data has no
    categories and an evaluator needs them, or no held-out split; WordError of the source.
    """
    program = run.program
    view = view_of(program, encoder)
    data = evaluated_data(view.data) or view.data.sources[0]
    categories = run.categories.get(data.name, ())
    if not categories and any(evaluator.needs_labels() for evaluator in evaluators_of(program)):
        raise errors.EvaluationError(
            errors.NO_LABELLED_SPLIT,
            f"data `{view.data.name}` has no categories to evaluate on",
            help="evaluate on data with a category field, or leave `evaluate` out",
        )
    labels = next((name for name, modality in data.fields.items() if modality.of_categories), None)

    def split_of(name: str, part: Dataset) -> StreamedSplit:
        source = LabelledSource(
            part,
            size=view.size,
            normalize=normalization(view),
            limit=limit,
            image=view.field,
            category=labels if categories else None,
            device=run.device,
            workers=workers,
            data=data.name,
        )
        return StreamedSplit(name, source, program=program, learned=said)

    def said(split: StreamedSplit) -> None:
        left_out = LeftOut.of(split.name, split)
        if left_out is not None and learned is not None:
            learned(left_out)

    with opening(data.name):
        opened = data.source.word.open(run.base)
        train, test = split_of("training", opened), split_of("test", opened.evaluation())
    return Evaluation(
        Splits(train, test, categories, run.device, team),
        untrained=lambda: subject_of(_on(run.untrained(), run.device), encoder, run.base, team),
    )


def named_evaluations(program: Program) -> Iterator[tuple[str, EvaluationDeclaration]]:
    """The recipe's evaluations by the names of their records: `knn`, and `knn 2` for another line of that word."""
    met: Counter[str] = Counter()
    for declared in program.evaluations:
        name = declared.evaluator.word.name
        met[name] += 1
        yield (name if met[name] == 1 else f"{name} {met[name]}"), declared


def evaluators_of(program: Program) -> list[Evaluator]:
    """What the recipe asks for, each once; kNN and the linear probe for a recipe that asks for nothing."""
    declared = dict.fromkeys(declared.evaluator.word for declared in program.evaluations)
    return list(declared or DEFAULTS)


def results_of(
    run: TrainedRun, encoder: str, evaluation: Evaluation, subject: EncoderSubject
) -> dict[tuple[str, str, str], Result]:
    """What the recipe's evaluators measure of an encoder: by name and text of the evaluator, and name of the data."""
    view = view_of(run.program, encoder)
    data = (evaluated_data(view.data) or view.data).name
    return {
        (evaluator.name, evaluator.text(), data): evaluation.result(evaluator, subject)
        for evaluator in evaluators_of(run.program)
    }


def measurements(executable: Executable, evaluation: Evaluation, base: Path) -> list[Callback]:
    """The recipe's evaluations as training calls them: `knn.accuracy` and the like of the encoder in training."""
    encoder = measured_encoder(executable.program)
    callbacks: list[Callback] = []
    for name, declared in named_evaluations(executable.program):

        def measure(_: int, word: Evaluator = declared.evaluator.word, name: str = name) -> dict[str, Score]:
            result = evaluation.result(word, subject_of(executable, encoder, base, evaluation.splits.team))
            return {f"{name}.{part}": score for part, score in result.scores().items()}

        callbacks.append((declared.every, measure))
    return callbacks


def _on(executable: Executable, device: torch.device) -> Executable:
    executable.module.to(device)
    return executable


def backbone_of(run: TrainedRun, encoder: str) -> Backbone:
    """Encoder `encoder` as timm's model, without what m3ic put around it. Raises EvaluationError (M3I0761)."""
    module, declaration = built_encoder(run.executable, encoder), run.program.encoders[encoder]
    try:
        form = declaration.word.word.backbone(module)
    except WordError as fault:
        message = f"encoder `{encoder}` cannot be exported: {fault.message}"
        raise errors.EvaluationError(errors.NOT_A_TIMM_BACKBONE, message, help=fault.help or "") from fault
    normalize = normalization(view_of(run.program, encoder))
    model = form.model
    inside = {id(parameter) for parameter in model.parameters()}
    left_out = [
        f"`{name}` of the encoder" for name, parameter in module.named_parameters() if id(parameter) not in inside
    ]
    for section, group in run.executable.module.named_children():
        if section != "encoders" and isinstance(group, Group):
            left_out += [f"`{section}.{name}`" for name in group.names() if any(True for _ in group[name].parameters())]
    left_out += [f"encoder `{other}`" for other in run.executable.encoders if other != encoder]
    kind = f"average of `{declaration.of}`" if declaration.momentum is not None else "trained"
    metadata = {
        "recipe": run.program.name,
        "fingerprint": run.fingerprint,
        "step": str(run.step),
        "encoder": f"{encoder} ({kind})",
    }
    return Backbone(
        model=model,
        architecture=form.architecture,
        arguments=form.arguments,
        image=declaration.image.shape().image,
        mean=normalize.mean,
        std=normalize.std,
        left_out=left_out,
        metadata=metadata,
    )
