"""The report of a run: gathers `ReportData`.

Takes: a trained run, its splits and its results. Gives: everything the page shows. Guarantees: trained and untrained
encoder are shown on the same test images; reconstructions go through the compiled graph itself, on its first batch.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import timm
import torch
from torch import Tensor

from m3i_dsl import __version__
from m3i_dsl.data.evaluation import normalization
from m3i_dsl.data.stream import Stream
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.features import dense_features, frozen, pooled_features
from m3i_dsl.evaluation.history import read_history
from m3i_dsl.evaluation.measure import Evaluation, own_draws
from m3i_dsl.evaluation.pictures import Image, Patches, as_images, balanced_sample, feature_maps, plane, spread
from m3i_dsl.evaluation.report import Cloud, PictureTable, ReportData
from m3i_dsl.evaluation.subject import EncoderSubject
from m3i_dsl.evaluation.trained_run import TrainedRun, measured_encoder, named_evaluations, subject_of, view_of
from m3i_dsl.ir.inputs import MaskInput, ViewInput
from m3i_dsl.modules.tokens import blend, partner
from m3i_dsl.semantics.checks.evaluation import evaluated_data
from m3i_dsl.semantics.program import Objective, Target, View
from m3i_dsl.semantics.table import COLUMNS, rows
from m3i_dsl.vocabulary.kinds import TRAINED, UNTRAINED, Reconstruction
from m3i_dsl.vocabulary.values import duration_text

POINTS = 600
"""Test images in the embedding."""

SHOWN = 10
"""Images in a row of pictures."""

CELL = 8
"""Pixels of the page's image for each token of a feature map."""


def report_data(
    run: TrainedRun, evaluation: Evaluation, comparisons: Sequence[Comparison], encoder: str | None = None
) -> ReportData:
    """The page of `run`; `encoder` is the one that was measured."""
    name = measured_encoder(run.program, encoder)
    untrained = run.untrained()
    untrained.module.to(run.device)
    pair = {TRAINED: subject_of(run.executable, name, run.base), UNTRAINED: subject_of(untrained, name, run.base)}
    record = read_history(run.path / "metrics.jsonl")
    pictures = [*_reconstructions(run), _feature_maps(run, evaluation, name, pair)]
    return ReportData(
        recipe_name=run.program.name,
        recipe_text=run.program.file.text,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        fingerprint=run.fingerprint,
        facts=_facts(run, evaluation, name, record.mean_speed),
        versions={
            "m3ic": __version__,
            "torch": torch.__version__,
            "timm": timm.__version__,
            "Python": platform.python_version(),
        },
        comparisons=tuple(comparisons),
        left_out=tuple(left_out.text() for left_out in evaluation.left_out),
        targets=(*record.target_panels(), *record.learned_panels()),
        progress=record.progress_panels(_reference(run, comparisons)),
        speed=record.speed_panels(),
        monitors=record.monitor_panels(),
        warnings=record.warnings,
        categories=evaluation.splits.categories,
        clouds=_clouds(run, evaluation, name, pair),
        pictures=tuple(pictures),
        table_columns=("row", *COLUMNS),
        table_rows=tuple((row_name, *row.cells()) for row_name, row in rows(run.program)),
        notes=(
            "Written by m3ic. Baselines are measured on the same images and with the same settings as the trained "
            "encoder; what is chosen on the way is chosen on a part of the training split.",
        ),
    )


def _reference(run: TrainedRun, comparisons: Sequence[Comparison]) -> dict[str, tuple[float, str]]:
    """The untrained encoder's numbers, by the names of the curves that they are compared with."""
    measured = {comparison.evaluator: comparison.baselines.get(UNTRAINED) for comparison in comparisons}
    found: dict[str, tuple[float, str]] = {}
    for name, declared in named_evaluations(run.program):
        untrained = measured.get(declared.evaluator.word.text())
        if untrained is not None:
            found |= {f"{name}.{part}": (score.value, UNTRAINED) for part, score in untrained.scores().items()}
    return found


def _facts(run: TrainedRun, evaluation: Evaluation, encoder: str, speed: float) -> dict[str, str]:
    program, training = run.program, run.program.training
    view = view_of(program, encoder)
    data = evaluated_data(view.data) or view.data
    splits = evaluation.splits
    label = program.encoders[encoder].word.word.label()
    count = sum(parameter.numel() for parameter in run.executable.encoders[encoder].parameters())
    among = f" in {len(splits.categories)} categories" if splits.categories else ""
    facts = {
        "data": f"{data.name}: {len(splits.train.labels)} training and {len(splits.test.labels)} test images{among}",
        "encoder": f"{encoder}: {label}, {count / 1e6:.2f} M parameters, images of {view.size[0]} x {view.size[1]}",
        "training": f"{duration_text(training.length)}, batch {training.batch}, {training.precision}, "
        f"{run.step} steps done",
        "run": str(run.path),
    }
    if speed:
        facts["speed"] = f"{speed:.0f} images/s"
    return facts


def _clouds(
    run: TrainedRun, evaluation: Evaluation, encoder: str, pair: dict[str, EncoderSubject]
) -> tuple[Cloud, ...]:
    test = evaluation.splits.test
    chosen = balanced_sample(test.labels, POINTS)
    images, labels = test.some(chosen.tolist()), test.labels[chosen]
    normalize = normalization(view_of(run.program, encoder))
    clouds: list[Cloud] = []
    for title, subject in pair.items():
        features = pooled_features(subject.encoder, images, prefix=subject.prefix, precision=subject.precision)
        points = plane(features)
        places = spread(points, SHOWN)
        thumbnails = as_images(images[places], normalize.mean, normalize.std)
        pairs = tuple(zip(places, thumbnails, strict=True))
        clouds.append(Cloud(title, points, labels.numpy().astype(np.int64), pairs))
    return tuple(clouds)


def _feature_maps(
    run: TrainedRun, evaluation: Evaluation, encoder: str, pair: dict[str, EncoderSubject]
) -> PictureTable:
    test = evaluation.splits.test
    images = test.some(balanced_sample(test.labels, SHOWN).tolist())
    normalize = normalization(view_of(run.program, encoder))
    shape = run.program.encoders[encoder].image.shape()
    columns: list[list[Image]] = [as_images(images, normalize.mean, normalize.std)]
    for subject in pair.values():
        tokens = torch.cat([part.float().cpu() for part in dense_features(subject.encoder, images)])
        columns.append(feature_maps(tokens[:, shape.prefix :], shape.grid.rows, shape.grid.columns, CELL))
    caption = (
        "The first three principal components of the dense features as red, green and blue. Each encoder has a basis "
        "of its own over these test images, so equal colours in a row mean similar features."
    )
    return PictureTable("Feature maps", ("image", *pair), tuple(zip(*columns, strict=True)), caption)


def _reconstructions(run: TrainedRun) -> list[PictureTable]:
    """One table for each target of pixels; the graph is run once on a few images of the first batch of training."""
    wanted = [
        (objective, target, reconstruction)
        for objective in run.program.objectives
        for target in objective.targets
        if (reconstruction := target.representation.word.reconstruction()) is not None
    ]
    if not wanted:
        return []
    stream = Stream(run.program, run.executable.inputs, base=run.base, device=run.device)
    # Rows are mixed in pairs, so an even number of them is a batch of its own.
    batch = {name: tensor[: 2 * SHOWN] for name, tensor in stream.batch_at(0).items()}
    with own_draws(), frozen(run.executable.module):
        output = cast(dict[str, Any], run.executable.module(**batch))
    return [
        _reconstruction(run, batch, output["representations"], objective, target, reconstruction)
        for objective, target, reconstruction in wanted
    ]


def _reconstruction(
    run: TrainedRun,
    batch: dict[str, Tensor],
    representations: dict[str, Tensor],
    objective: Objective,
    target: Target,
    reconstruction: Reconstruction,
) -> PictureTable:
    encoder = objective.encoder.image
    shape = encoder.shape()
    reference = next(r for r in target.data if r.view is not None)
    view, seen = reference.view, objective.inputs[0].view
    assert view is not None and isinstance(seen, View), "pixels are predicted from a view"
    views = {source.view: batch[source.name] for source in run.executable.inputs if isinstance(source, ViewInput)}
    image, truth = views[seen.name], views[view.name]
    grid = truth.shape[-2] // shape.stride, truth.shape[-1] // shape.stride
    everywhere = torch.ones(len(truth), grid[0] * grid[1], dtype=torch.bool)
    mask = _mask(run, batch, objective)
    if objective.mix is not None and mask is not None:
        second = views[objective.inputs[1].view.name]
        image = blend(image, partner(second), mask, shape.grid.rows, shape.grid.columns)
        if reference.which == "second":
            mask, truth = ~mask, partner(truth)
    normalize = normalization(view)
    patches = Patches(*grid, normalize.mean, normalize.std)
    prediction = representations[f"{objective.name}.{target.name}/prediction"]
    same = view.name == objective.input_of(reference.which).view.name
    hidden = mask.cpu() if same and mask is not None else everywhere
    own = Patches(shape.grid.rows, shape.grid.columns, normalize.mean, normalize.std)
    covered = (
        as_images(image, normalize.mean, normalize.std)
        if mask is None or objective.mix is not None
        else own.covered(image, mask)
    )
    columns = [
        covered,
        patches.predicted(truth, hidden, prediction, reconstruction),
        as_images(truth, normalize.mean, normalize.std),
    ]
    caption = f"Target `{objective.name}.{target.name}` on images of the first batch. " + (
        "Predicted patches stand among the visible ones." if same and mask is not None else "Every patch is predicted."
    )
    return PictureTable(
        "Reconstructions",
        ("input", "prediction", "target"),
        tuple(zip(*columns, strict=True))[:SHOWN],
        f"{caption} {reconstruction.note}".rstrip(),
    )


def _mask(run: TrainedRun, batch: dict[str, Tensor], objective: Objective) -> Tensor | None:
    """bool [B, L]: what is hidden of the objective's (first) input, None without mask and mix."""
    reference = objective.inputs[0]
    if objective.hides(reference) is None:
        return None
    masks = (source for source in run.executable.inputs if isinstance(source, MaskInput))
    source = next(s for s in masks if objective.name in s.objectives and s.view == reference.view.name)
    return batch[source.name]
