"""An evaluator from outside, with a measure that is no accuracy, from the recipe to the page of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.evaluation.history import read_history
from m3i_dsl.runtime.reporting.record import read_run
from m3i_dsl.vocabulary import evaluators, registry
from m3i_dsl.vocabulary.kinds import UNTRAINED, Baselines, Evaluator, Measure, Modality, Result, Score, Splits, Subject
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument

SURPRISE = Measure("surprise", "nats", better="lower")
SPREAD = Measure("spread")


@dataclass(frozen=True, slots=True)
class Surprise(Evaluator):
    """How far the log of the spread of features on unseen images is from that on seen ones."""

    name: ClassVar[str] = "surprise"
    needs: ClassVar[frozenset[Modality]] = frozenset()

    scale: Number = argument(1.0, doc="what a nat is worth", above=0)

    def measure(self, subject: Subject, splits: Splits) -> Result:
        seen, unseen = (subject.features(split, "mean").var(dim=0).sum() for split in (splits.train, splits.test))
        surprise = abs(math.log(float(unseen)) - math.log(float(seen)))
        parts = {"spread": Score(float(unseen), SPREAD)}
        return Result(SURPRISE, self.scale * surprise, len(splits.test.labels), parts=parts, note="of all channels")

    def baselines(self, others: Baselines, splits: Splits) -> Mapping[str, Result]:
        constant = Result(SURPRISE, self.scale * 100.0, len(splits.test.labels), 0.0)
        return {UNTRAINED: self.measure(others.untrained(), splits), "a hundred": constant}


RECIPE = """m3i 1
recipe own
data digits = embedded("digits")
view view1 of digits.image = crop(16px, scale: 40%..100%)
encoder image = timm("vit_tiny_patch16_224", image: 16px, patch: 8px, width: 24, depth: 1, heads: 2)
objective label {
  input     view1
  represent dense feature of image
  target category {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann(temperature: 1)
  }
}
train {
  batch     256
  epochs    2 epochs
  optimizer adamw(lr: 1e-3)
  schedule  cosine
}
evaluate {
  surprise(scale: 10) every 1 epochs
  knn                 at end
}
"""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(evaluators, "WORDS", (*evaluators.WORDS, Surprise))
    registry.words.cache_clear()
    yield
    registry.words.cache_clear()


def test_it_is_trained_beside_evaluated_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.m3i").write_text(RECIPE)
    assert main(["compile", "own.m3i"]) == 0
    capsys.readouterr()
    assert main(["train", "--device", "cpu", "--workers", "0", "--log-to", "none"]) == 0
    said = capsys.readouterr().err
    (folder,) = Path("runs").glob("own-*")
    record = read_run(folder)
    series = record.evaluations["surprise.surprise"]
    assert series.measure == SURPRISE
    assert len(series.values) == 2
    assert series.best[1] == min(series.values)
    assert f"surprise.surprise {series.values[-1]:.4g} nats" in said
    assert record.evaluations["surprise.spread"].measure == SPREAD

    assert main(["runs", "show", folder.name]) == 0
    shown = capsys.readouterr().out
    assert f"{series.values[-1]:.4g} nats" in shown
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["evaluations"]["surprise.surprise"]["measure"] == SURPRISE.plain()
    assert listed["evaluations"]["surprise.surprise"]["best"] == min(series.values)

    assert main(["eval", "--device", "cpu", "--report", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    own = next(row for row in results if row["name"] == "surprise")
    assert own["measure"] == SURPRISE.plain()
    assert own["trained"]["value"] == pytest.approx(series.values[-1], rel=1e-4)
    assert list(own["baselines"]) == ["untrained", "a hundred"]
    assert own["baselines"]["a hundred"]["value"] == 1000.0
    assert own["beats_baselines"] == (own["trained"]["value"] < own["baselines"]["untrained"]["value"])
    assert own["trained"]["parts"]["spread"]["measure"] == SPREAD.plain()
    assert own["trained"]["note"] == "of all channels"

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "surprise, lower is better<br>scale: 10<br>of all channels" in page
    (panel,) = (
        panel
        for panel in read_history(folder / "metrics.jsonl").progress_panels({"surprise.surprise": (3.0, "untrained")})
        if panel.title == "surprise surprise"
    )
    assert (panel.y_label, panel.reference) == ("nats, lower is better", ((3.0, "untrained"),))
    assert "<h4>surprise surprise<small>nats, lower is better</small></h4>" in page

    assert main(["eval", "--device", "cpu", "--limit", "50"]) == 0
    table = capsys.readouterr().out
    assert "surprise, nats (lower is better)" in table and "a hundred" in table
    assert [line.strip() for line in table.splitlines()].count("of all channels") == 1
