"""From a compiled program with trained weights to what is measured and exported.

Takes: an `Executable` and the folder of its recipe. Gives: the encoders that can be measured, each as a `Subject`, the
splits to measure on, and an encoder as a timm `Backbone`. Guarantees: an image takes the path that the text target
trained (encoder, pool, projector, predictor, normalisation), without mask and mix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from m3i_dsl.data.evaluation import labelled, normalization
from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.export import Backbone
from m3i_dsl.evaluation.features import frozen, pool_tokens
from m3i_dsl.evaluation.measure import Evaluation, Split, Subject
from m3i_dsl.lower.executable import Executable, unwrapped
from m3i_dsl.lower.parts import Group
from m3i_dsl.modules.encoders.timm import model_arguments
from m3i_dsl.runtime.options import Callback
from m3i_dsl.semantics.checks.evaluation import evaluated_data
from m3i_dsl.semantics.program import Objective, Program, Target, View
from m3i_dsl.vocabulary.encoders.catalogue import timm_model
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import TEXTS, Evaluator

LARGEST_SPLIT = 16 * 2**30
"""Bytes of float32 images that the two splits may take."""


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
    chosen = program.objectives[0].encoder.name if name is None else name
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


def subject_of(executable: Executable, name: str, base: Path) -> Subject:
    """Encoder `name` of a program as what is measured, with the text path of the objective that trains it."""
    encoder = built_encoder(executable, name)
    word = executable.program.encoders[name].image
    subject = Subject(encoder, word.shape().prefix)
    for objective in executable.program.objectives:
        for target in objective.targets:
            if objective.encoder.name == name and target.representation.word.candidates == TEXTS:
                path = _TextPath(executable, objective, target, base)
                return Subject(encoder, subject.prefix, path.embed_images, path.embed_texts)
    return subject


@dataclass(frozen=True, eq=False)
class _TextPath:
    """The modules that a text target trains. Source of the order: `ir/build_target.py`, `_prediction` and `_text`."""

    executable: Executable
    objective: Objective
    target: Target
    base: Path

    @property
    def name(self) -> str:
        return f"{self.objective.name}_{self.target.name}"

    def embed_images(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, E], l2-normalised."""
        word = self.objective.encoder.image
        encoder = self.executable.encoders[self.objective.encoder.name]
        predictor = self._module("predictors", self.name)
        parameter = next(encoder.parameters())
        shape, predicts = word.shape(), self.target.predictor.word
        with frozen(self.executable.module):
            features = cast(Tensor, encoder(images.to(parameter.device, parameter.dtype)))
            if not predicts.pools:
                features = pool_tokens(features, shape.prefix, predicts.pooling())
            projects = self.target.projected
            if projects and word.projector is not None:
                features = self._module("projectors", self.objective.encoder.name)(features)
            prediction = predictor(features, prefix=shape.prefix) if predicts.pools else predictor(features)
            return F.normalize(prediction, dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """T texts -> [T, E], l2-normalised."""
        assert self.target.encoder is not None
        word = self.target.encoder.text
        encoder = self.executable.encoders[self.target.encoder.name]
        tokens = torch.from_numpy(word.tokenize(texts, self.base)).to(next(encoder.parameters()).device)
        with frozen(self.executable.module):
            return F.normalize(self._module("representations", self.name)(encoder(tokens)), dim=-1)

    def _module(self, section: str, name: str) -> nn.Module:
        group = self.executable.module.get_submodule(section)
        assert isinstance(group, Group)
        return unwrapped(group[name])


def view_of(program: Program, encoder: str) -> View:
    """The view that the encoder sees in training: its size and normalisation are those of evaluation."""
    trained = program.encoders[encoder].of or encoder
    for objective in program.objectives:
        if objective.encoder.name == trained:
            return objective.inputs[0].view
    return program.objectives[0].inputs[0].view


def evaluation_of(run: TrainedRun, encoder: str, *, limit: int | None = None, batch: int = 256) -> Evaluation:
    """The splits of the data that the encoder was trained on (of a mixture: `evaluated_data`), ready to measure on.

    `limit` takes so many samples of each split, spread evenly. Raises EvaluationError: M3I0750 when the data has no
    categories or no held-out split, M3I0756 when the splits do not fit into memory; WordError of the source.
    """
    program = run.program
    view = view_of(program, encoder)
    data = evaluated_data(view.data)
    if data is None or not run.categories.get(data.name):
        raise errors.EvaluationError(
            errors.NO_LABELLED_SPLIT,
            f"data `{view.data.name}` has no categories to evaluate on",
            help="evaluate on data with a category field, or leave `evaluate` out",
        )
    opened = data.source.word.open(run.base)
    _check_size(view, min(len(opened), limit or len(opened)) * 2)
    splits = [
        labelled(part, size=view.size, normalize=normalization(view), limit=limit, device=run.device)
        for part in (opened, opened.evaluation())
    ]
    train, test = (Split(split.images, split.labels) for split in splits)
    return Evaluation(
        train=train,
        test=test,
        categories=run.categories[data.name],
        untrained=lambda: subject_of(_on(run.untrained(), run.device), encoder, run.base),
        device=run.device,
        batch=batch,
        precision="bf16" if program.training.precision == "bf16" and run.device.type == "cuda" else "fp32",
    )


def measurements(executable: Executable, evaluation: Evaluation, base: Path) -> list[Callback]:
    """The recipe's evaluations as training calls them: `knn.accuracy` in [0, 1] of the encoder in training."""
    encoder = measured_encoder(executable.program)
    met: Counter[str] = Counter()
    callbacks: list[Callback] = []
    for declared in executable.program.evaluations:
        word = declared.evaluator.word
        met[word.name] += 1
        name = word.name if met[word.name] == 1 else f"{word.name} {met[word.name]}"

        def measure(_: int, word: Evaluator = word, name: str = name) -> dict[str, float]:
            return {f"{name}.accuracy": evaluation.result(word, subject_of(executable, encoder, base)).value}

        callbacks.append((declared.every, measure))
    return callbacks


def _check_size(view: View, count: int) -> None:
    each = 3 * view.size[0] * view.size[1] * 4
    if count * each > LARGEST_SPLIT:
        raise errors.EvaluationError(
            errors.SPLIT_TOO_LARGE,
            f"the images to evaluate on would take {count * each / 2**30:.0f} GiB of memory",
            help=f"take at most {LARGEST_SPLIT // (2 * each)} of each split: `--limit {LARGEST_SPLIT // (2 * each)}`",
        )


def _on(executable: Executable, device: torch.device) -> Executable:
    executable.module.to(device)
    return executable


def backbone_of(run: TrainedRun, encoder: str) -> Backbone:
    """Encoder `encoder` as timm's model, without what m3ic put around it. Raises EvaluationError (M3I0761)."""
    module, declaration = built_encoder(run.executable, encoder), run.program.encoders[encoder]
    word = declaration.word.word
    if not isinstance(word, Timm):
        raise errors.EvaluationError(
            errors.NOT_A_TIMM_BACKBONE,
            f"encoder `{encoder}` is `{word.name}`, which timm does not have",
            help="export an encoder that is written `timm(...)`",
        )
    normalize = normalization(view_of(run.program, encoder))
    model = module.get_submodule("model")
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
        architecture=word.model.split(".")[0],
        arguments=model_arguments(word, timm_model(word.model)),
        image=(word.image, word.image),
        mean=normalize.mean,
        std=normalize.std,
        left_out=left_out,
        metadata=metadata,
    )
