"""One row of the table of results: a recipe compiled, trained and measured.

Takes: a recipe file, the values of its parameters, and a folder for its run. Gives: a record of plain numbers.
Guarantees: the untrained encoder, and raw pixels in `measure_pixels`, see the same images and are measured by the same
functions as the trained one; a record is kept and returned again while the program, the data and the versions are the
same; a run that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from m3i_dsl import driver
from m3i_dsl.artifact import load
from m3i_dsl.data.evaluation import normalization
from m3i_dsl.data.stream import Stream
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.history import read_history
from m3i_dsl.evaluation.subject import PixelSubject
from m3i_dsl.evaluation.trained_run import TrainedRun, evaluation_of, measured_encoder, subject_of, view_of
from m3i_dsl.runtime.coupled import batch_coupled
from m3i_dsl.runtime.loop import Trainer
from m3i_dsl.runtime.options import TrainOptions
from m3i_dsl.runtime.reporting.display import PlainDisplay
from m3i_dsl.runtime.run_folder import RunFolder, RunIdentity, read_identity, write_json
from m3i_dsl.source import read_file
from m3i_dsl.syntax import parse_value
from m3i_dsl.vocabulary.evaluators import Knn, LinearProbe
from m3i_dsl.vocabulary.kinds import UNTRAINED, Evaluator, Result

EVALUATORS = (Knn(k=20), LinearProbe())
"""What is measured, whatever the recipe's own `evaluate` block asks for: the rows must be comparable."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process is given. `settings` are values of `--set`; paths in them start at the recipe's folder."""

    recipe: Path
    settings: Mapping[str, str]
    folder: Path
    device: str
    threads: int
    workers: int

    @property
    def name(self) -> str:
        """`mae`, or `table-06_mim_pixel` for a file in `recipes/table/`."""
        return "-".join((*self.recipe.parent.parts[1:], self.recipe.stem))


def compile_job(job: Job) -> tuple[Path, str]:
    """Compiles the recipe and returns the artifact's folder and its fingerprint. Raises RecipeError."""
    values = {name: parse_value(text, f"<--set {name}>") for name, text in job.settings.items()}
    checked = driver.check_file(read_file(job.recipe), values)
    compiled = driver.compile_program(checked.required(), job.recipe.parent)
    target = job.folder / "target"  # its own, so that `m3ic train` still trains what its user compiled last
    manifest = driver.write_artifact(target / job.name, compiled, checked, job.settings, target=target)
    return target / job.name, manifest.fingerprint


def measure_recipe(job: Job) -> Record:
    """Trains the recipe and measures its encoder, trained and untrained."""
    torch.set_num_threads(job.threads)
    artifact, fingerprint = compile_job(job)
    record = job.folder / "rows" / f"{job.name}.json"
    if (kept := _kept(record, fingerprint)) is not None:
        return kept
    run, summary = _trained(job, artifact, fingerprint)
    started = time.monotonic()
    encoder = measured_encoder(run.program)
    evaluation = evaluation_of(run, encoder)
    ours, theirs = subject_of(run.executable, encoder, run.base), evaluation.untrained()
    measured = {
        evaluator.name: _compared(
            evaluator.measure(ours, evaluation.splits), evaluator.measure(theirs, evaluation.splits), evaluator
        )
        for evaluator in EVALUATORS
    }
    found: Record = {
        "name": job.name,
        "recipe": job.recipe.as_posix(),
        "fingerprint": fingerprint,
        "date": datetime.date.today().isoformat(),
        **summary,
        "seconds_evaluating": time.monotonic() - started,
        "measured": measured,
    }
    return _keep(record, found)


def measure_pixels(job: Job) -> Record:
    """Measures raw pixels on the images of the recipe's evaluation: the same for all recipes of one view."""
    torch.set_num_threads(job.threads)
    # In a folder of its own: the row of the same recipe may be written by another process right now.
    artifact, _ = compile_job(dataclasses.replace(job, folder=job.folder / "pixels"))
    run = _load(job, artifact, job.folder)
    encoder = measured_encoder(run.program)
    view = view_of(run.program, encoder)
    seen = f"{sorted(load(artifact).lock.data.items())} {view.size} {normalization(view).text()}"
    fingerprint = hashlib.sha256(seen.encode()).hexdigest()
    record = job.folder / "rows" / "raw-pixels.json"
    if (kept := _kept(record, fingerprint)) is not None:
        return kept
    evaluation = evaluation_of(run, encoder)
    pixels = PixelSubject(view.size)
    measured = {evaluator.name: _plain(evaluator.measure(pixels, evaluation.splits)) for evaluator in EVALUATORS}
    return _keep(record, {"fingerprint": fingerprint, "measured": measured})


def _kept(path: Path, fingerprint: str) -> Record | None:
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record if record["fingerprint"] == fingerprint else None


def _keep(path: Path, record: Record) -> Record:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    return record


def _trained(job: Job, artifact: Path, fingerprint: str) -> tuple[TrainedRun, Record]:
    """The run of this artifact, trained to its end; what an earlier call left is continued."""
    path = job.folder / "runs" / job.name
    run = _load(job, artifact, path)
    continues = (path / "run.json").is_file()
    if continues and read_identity(path).fingerprint != fingerprint:
        shutil.rmtree(path)
        continues = False
    program = run.program
    stream = Stream(program, run.executable.inputs, base=run.base, device=run.device, workers=job.workers)
    identity = RunIdentity(program.name, fingerprint, {"torch": torch.__version__})
    with (
        RunFolder.open(path, fingerprint) if continues else RunFolder.create(path, identity, artifact) as folder,
        (path / "train.log").open("a", encoding="utf-8") as log,
    ):
        trainer = Trainer(
            run.executable,
            stream,
            folder,
            TrainOptions(device=run.device, keep=1),
            batch_coupled=batch_coupled(program),
            display=PlainDisplay(log),
        )
        outcome = trainer.run(resume=continues)
    if outcome.status == "stopped":
        raise KeyboardInterrupt
    speed = read_history(folder.metrics).mean_speed
    images = outcome.step * program.training.batch
    summary: Record = {
        "steps": outcome.step,
        "epochs": outcome.step / stream.steps_per_epoch,
        "images_per_second": speed,
        "seconds_training": images / speed if speed else 0.0,
        "device": run.device.type,
    }
    return run, summary


def _load(job: Job, artifact: Path, path: Path) -> TrainedRun:
    loaded, executable = driver.load_artifact(artifact)
    device = torch.device(job.device)
    executable.module.to(device)
    return TrainedRun(
        path=path,
        executable=executable,
        base=loaded.base,
        untrained=lambda: driver.load_artifact(artifact, load_weights=False)[1],
        categories={name: locked.categories for name, locked in loaded.lock.data.items()},
        step=0,
        fingerprint=loaded.manifest.fingerprint,
        device=device,
    )


def _compared(trained: Result, untrained: Result, evaluator: Evaluator) -> Record:
    comparison = Comparison(evaluator.name, evaluator.text(), trained, {UNTRAINED: untrained})
    difference = comparison.difference(untrained)
    return {
        "trained": _plain(trained),
        "untrained": _plain(untrained),
        "difference": {"value": difference.value, "standard_error": difference.standard_error},
        "clear": difference.clear,
    }


def _plain(result: Result) -> Record:
    return {
        "value": result.value,
        "standard_error": result.standard_error,
        "n": result.n,
        "measure": result.measure.plain(),
        **result.details,
    }
