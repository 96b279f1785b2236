"""A compiled recipe as what is measured, shown and exported: the paths are those of the compiled graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from m3i_dsl import driver
from m3i_dsl.data.stream import Stream
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.export import export_timm
from m3i_dsl.evaluation.features import frozen
from m3i_dsl.evaluation.report_page import write_report
from m3i_dsl.evaluation.run_report import report_data
from m3i_dsl.evaluation.trained_run import (
    TrainedRun,
    backbone_of,
    built_encoder,
    evaluation_of,
    measured_encoder,
    measurements,
    subject_of,
    view_of,
)
from m3i_dsl.ir.inputs import FieldInput, ViewInput
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.evaluators import Knn

RECIPE = """m3i 1
recipe small

data digits = embedded("digits")
view view1 of digits.image = crop(32px, scale: 40%..100%)

encoder image    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 2)
encoder momentum = ema of image(0.9)
encoder words    = transformer(width: 16, layers: 1, heads: 2, tokenizer: bytes, pool: mean)

objective clip {
  input     view1
  represent dense feature of image
  target caption {
    data           text
    representation text embedding of words
    predictor      mlp
    regularization negative texts
    distribution   boltzmann(temperature: 0.1)
  }
}

objective fill {
  input     masked view1 by random(50%)
  represent dense feature of image
  target pixels {
    data           view1
    representation dense pixels(normalize: true)
    predictor      decoder(layers: 1, heads: 2)
    regularization none
    distribution   gaussian
  }
  target dense {
    data           view1
    representation dense feature of momentum
    predictor      decoder(layers: 1, heads: 2)
    regularization stop gradient
    distribution   gaussian
  }
}

train {
  batch     16
  epochs    1 epochs
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}

evaluate {
  knn(k: 5)                      every 1 epochs
  knn(k: 1)                      at end
  zero_shot(prompts: "a {} | {}") at end
}
"""


def compiled() -> driver.Compiled:
    program = driver.check_file(SourceFile("small.m3i", RECIPE)).required()
    return driver.compile_program(program, Path())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A run whose weights are not those it started from."""
    done = compiled()
    with torch.no_grad():
        for parameter in done.executable.module.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    return TrainedRun(
        path=tmp_path_factory.mktemp("run"),
        executable=done.executable,
        base=Path(),
        untrained=lambda: compiled().executable,
        categories={name: locked.categories for name, locked in done.lock.data.items()},
        step=7,
        fingerprint="f" * 64,
        device=torch.device("cpu"),
    )


def test_images_and_texts_take_the_path_of_the_graph(run: TrainedRun) -> None:
    subject = subject_of(run.executable, "image", run.base)
    assert subject.text_path is not None
    stream = Stream(run.program, run.executable.inputs, base=run.base)
    batch = dict(stream.batch_at(0))
    with frozen(run.executable.module):
        represented = run.executable.module(**batch)["representations"]
    (view,) = [source.name for source in run.executable.inputs if isinstance(source, ViewInput)]
    torch.testing.assert_close(subject.text_path.embed_images(batch[view]), represented["clip.caption/prediction"])
    (text,) = [source for source in run.executable.inputs if isinstance(source, FieldInput)]
    samples = stream.batch_at(0).samples
    captions = [stream.sources["digits"].read(int(sample), frozenset({"text"}))["text"] for sample in samples]
    assert text.by == "words"
    embedded = subject.text_path.embed_texts([caption for caption in captions if caption is not None])
    torch.testing.assert_close(embedded, represented["clip.caption/target"])
    assert run.executable.module.training


def test_an_encoder_without_text_target_has_no_text_path(run: TrainedRun) -> None:
    assert subject_of(run.executable, "momentum", run.base).text_path is None


def test_encoders_are_chosen_by_name(run: TrainedRun) -> None:
    assert measured_encoder(run.program) == "image"
    assert measured_encoder(run.program, "momentum") == "momentum"
    for wrong in ("words", "nothing"):
        with pytest.raises(EvaluationError) as caught:
            measured_encoder(run.program, wrong)
        assert caught.value.code == "M3I0760"
        assert "`image`, `momentum`" in caught.value.helps[0]


def test_the_untrained_encoder_has_the_weights_of_step_0(run: TrainedRun) -> None:
    evaluation = evaluation_of(run, "image", limit=20)
    start = compiled().executable.encoders["image"].state_dict()
    untrained = evaluation.untrained().encoder.state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in untrained.items())
    trained = built_encoder(run.executable, "image").state_dict()
    assert not all(torch.equal(tensor, start[name]) for name, tensor in trained.items())


def test_training_measures_by_name(run: TrainedRun) -> None:
    evaluation = evaluation_of(run, "image", limit=40)
    found = measurements(run.executable, evaluation, run.base)
    assert [every is None for every, _ in found] == [False, True, True]
    results = {name: score.value for _, measure in found for name, score in measure(1).items()}
    assert list(results) == ["knn.accuracy", "knn 2.accuracy", "zero_shot.accuracy"]
    assert all(0 <= value <= 1 for value in results.values())


def test_the_report_of_a_run(run: TrainedRun) -> None:
    evaluation = evaluation_of(run, "image", limit=40)
    words = [declared.evaluator.word for declared in run.program.evaluations]
    comparisons = evaluation.compare(words, subject_of(run.executable, "image", run.base))
    data = report_data(run, evaluation, comparisons)
    assert [table.title for table in data.pictures] == ["Reconstructions", "Feature maps"]
    assert [row[0] for row in data.table_rows] == ["small.caption", "small.pixels", "small.dense"]
    assert data.recipe_text == RECIPE
    assert (data.facts["training"], data.categories[0]) == ("1 epochs, batch 16, fp32, 7 steps done", "0")
    masked, predicted, truth = data.pictures[0].rows[0]
    assert masked.shape == predicted.shape == truth.shape == (32, 32, 3)
    grey = (masked == 128).all(axis=2)
    assert grey.mean() >= 0.5  # half of the patches are hidden
    assert (masked == truth).all(axis=2)[~grey].all()
    assert (predicted != truth).any(axis=2)[grey].any()
    assert write_report(data, run.path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("encoder", ["image", "momentum"])
def test_an_encoder_of_a_run_is_exported(run: TrainedRun, encoder: str, tmp_path: Path) -> None:
    backbone = backbone_of(run, encoder)
    export_timm(backbone, tmp_path / "export")
    model = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    module = built_encoder(run.executable, encoder)
    with frozen(module):
        assert torch.equal(model.forward_features(images), module(images))
    assert "`predictors.clip_caption`" in backbone.left_out
    assert "encoder `words`" in backbone.left_out
    assert (
        backbone.metadata["encoder"]
        == {"image": "image (trained)", "momentum": "momentum (average of `image`)"}[encoder]
    )


def test_a_text_encoder_is_not_exported(run: TrainedRun) -> None:
    with pytest.raises(EvaluationError) as caught:
        backbone_of(run, "words")
    assert caught.value.code == "M3I0761"


TWO_VIEWS = """m3i 1
recipe two
data digits = embedded("digits")
view large of digits.image = crop(32px, scale: 40%..100%)
view small of digits.image = crop(16px, scale: 40%..100%) | normalize(mean: (0.1, 0.2, 0.3), std: (0.5, 0.5, 0.5))
encoder first    = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 2)
encoder second   = timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 24, depth: 1, heads: 2)
encoder averaged = ema of second(0.9)
objective one {
  input     large
  represent dense feature of first
  target category {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann(temperature: 1)
  }
}
objective other {
  input     masked small by random(50%)
  represent dense feature of second
  target dense {
    data           small
    representation dense feature of averaged
    predictor      decoder(layers: 1, heads: 2)
    regularization stop gradient
    distribution   gaussian
  }
}
train {
  batch     16
  epochs    1 epochs
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    def build() -> driver.Compiled:
        return driver.compile_program(driver.check_file(SourceFile("two.m3i", TWO_VIEWS)).required(), Path())

    done = build()
    return TrainedRun(
        path=tmp_path_factory.mktemp("two"),
        executable=done.executable,
        base=Path(),
        untrained=lambda: build().executable,
        categories={name: locked.categories for name, locked in done.lock.data.items()},
        step=1,
        fingerprint="f" * 64,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize(
    ("encoder", "view", "size"),
    [("first", "large", (32, 32)), ("second", "small", (16, 16)), ("averaged", "small", (16, 16))],
)
def test_an_encoder_sees_the_view_of_the_objective_that_trains_it(
    two: TrainedRun, encoder: str, view: str, size: tuple[int, int]
) -> None:
    """The first objective's view would give the others images of another size and normalisation."""
    assert view_of(two.program, encoder).name == view
    evaluation = evaluation_of(two, encoder, limit=20)
    assert evaluation.splits.test.image_size == size
    assert evaluation.result(Knn(k=3), subject_of(two.executable, encoder, two.base)).n == 20
    assert backbone_of(two, encoder).image == size
    assert backbone_of(two, encoder).mean[0] == pytest.approx(0.1 if view == "small" else 0.485, abs=0.05)


def test_data_without_categories_is_refused(run: TrainedRun) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluation_of(replace(run, categories={"digits": ()}), "image")
    assert caught.value.code == "M3I0750"
