"""recipes/official: each named method at the size of its paper checks clean and can be planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.driver import check_file
from m3i_dsl.source import SourceFile
from m3i_dsl.source.includes import read_file
from m3i_dsl.vocabulary.values import steps_of

ROOT = Path(__file__).parents[2] / "recipes"
OFFICIAL = sorted((ROOT / "official").glob("*.m3i"))

SCHEDULES = {
    "mae": (4096, 1600, 2.4e-3),
    "simmim": (2048, 800, 4e-4),
    "data2vec": (2048, 800, 2e-3),
    "moco_v3": (4096, 300, 2.4e-3),
    "dino": (512, 100, 1e-3),
    "dinov2": (2048, 200, 0.005656854),
    "ibot": (1024, 800, 2e-3),
    "msn": (1024, 800, 1e-3),
    "byol": (4096, 1000, 3.2),
    "vicreg": (2048, 100, 1.6),
    "barlow_twins": (2048, 1000, 1.6),
    "densecl": (256, 200, 0.03),
    "siamese_im": (4096, 1600, 1e-3),
    "moco_v1": (256, 200, 0.03),
    "moco_v2": (256, 200, 0.03),
    "simclr": (4096, 100, 4.8),
    "deit_iii": (2048, 800, 3e-3),
    "m3i_vitb_imagenet": (4096, 400, 1e-3),
    "m3i_vitb_yfcc": (4096, 25, 1e-3),
    "fd": (2048, 300, 1.2e-3),
    "fd_dino": (2048, 300, 1.2e-3),
    "clip": (32768, 32, 5e-4),
    "vqkd": (512, 100, 2e-4),
    "beit": (2048, 800, 1.5e-3),
}
"""Batch, epochs and peak rate as published."""


def test_every_named_method_has_its_official_recipe() -> None:
    assert {path.stem for path in OFFICIAL} == set(SCHEDULES)
    assert all((ROOT / path.name).exists() for path in OFFICIAL)


@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.stem)
def test_it_checks_clean_and_has_the_published_schedule(path: Path) -> None:
    file: SourceFile = read_file(path)
    training = check_file(file).required().training
    lr = training.optimizer.word.lr.at_batch(training.batch)  # type: ignore[attr-defined]  # all of them have one
    assert (training.batch, steps_of(training.length, steps_per_epoch=1, batch=training.batch)) == SCHEDULES[path.stem][
        :2
    ]
    assert lr == pytest.approx(SCHEDULES[path.stem][2])


@pytest.mark.parametrize("name", ["mae", "densecl"])
def test_it_can_be_planned(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shallow = ["--set", "depth=1", "--set", "decoder_layers=1"] if name == "mae" else []
    assert main(["plan", str(ROOT / "official" / f"{name}.m3i"), *shallow]) == 0
    assert "activations" in capsys.readouterr().out
