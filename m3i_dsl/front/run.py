"""A run in Python: what it recorded, what its encoder is worth, and the encoder itself.

Takes: a run's folder. Gives: `Run`. Guarantees: nothing in the folder changes but by `evaluate`, which writes the
results, and `export`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from m3i_dsl.front.request import Device
from m3i_dsl.front.shown import Table

if TYPE_CHECKING:
    from m3i_dsl.evaluation.comparison import Comparison
    from m3i_dsl.evaluation.trained_encoder import TrainedEncoder


@dataclass(frozen=True, slots=True)
class Results:
    """What `evaluate` measured: each evaluator's result beside its baselines. A notebook shows the table.

    `report` is the page, when one was asked for.
    """

    comparisons: tuple[Comparison, ...]
    report: Path | None = None

    def table(self) -> Table:
        """A row for each evaluator and subject: the measure with its unit, the value, its standard error (None where it
        is not known), and how many samples it was measured on.
        """
        rows = [
            (name, subject, result.measure.name, result.measure.unit, result.value, result.standard_error, result.n)
            for name, results in (
                (comparison.name, {"trained": comparison.trained, **comparison.baselines})
                for comparison in self.comparisons
            )
            for subject, result in results.items()
        ]
        return Table(("evaluator", "subject", "measure", "unit", "value", "standard error", "n"), tuple(rows))

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()  # pyright: ignore[reportPrivateUsage]  # IPython's protocol

    def __repr__(self) -> str:
        return repr(self.table())


class Run:
    """A run folder. `path` is where it is; it may still be training."""

    def __init__(self, path: str | Path) -> None:
        """Raises TrainingFault (M3I0707) when no run is there."""
        from m3i_dsl.runtime.run_folder import read_identity

        self.path = Path(path)
        self.recipe = read_identity(self.path).recipe

    def metrics(self, stage: str | None = None) -> Table:
        """The record of training, a row for each event of `metrics.jsonl`; docs/runs.md has the columns.

        An unfinished last line is left out, and what is damaged with a word on standard error; `stage` of a run of
        stages: the last one. Raises WrongUse for a stage that is none.
        """
        from m3i_dsl.front.opening import run_folder_of, say
        from m3i_dsl.runtime.reporting.events import Events

        events = Events(run_folder_of(self.path, stage) / "metrics.jsonl")
        if events.damage is not None:
            say(events.damage.text())
        columns = tuple(dict.fromkeys(name for event in events.all for name in event))
        return Table(columns, tuple(tuple(event.get(name) for name in columns) for event in events.all))

    def evaluate(
        self,
        *,
        stage: str | None = None,
        encoder: str | None = None,
        limit: int | None = None,
        report: bool = False,
        device: Device = "auto",
        workers: int = 0,
    ) -> Results:
        """Measures the encoder as the recipe asks, beside the same encoder untrained and other baselines.

        `stage` of a run of stages: the last one.

        Writes `results.json` into the run, and with `report` one page with everything. `limit`: at most so many samples
        of each split; `workers`: processes that decode.

        Raises TrainingFault (no checkpoint yet, no labelled split, ...), WordError of a source.
        """
        from m3i_dsl.front.measuring import measure
        from m3i_dsl.front.opening import run_folder_of

        measured = measure(
            run_folder_of(self.path, stage),
            encoder=encoder,
            limit=limit,
            report=report,
            device=device,
            workers=workers,
        )
        return Results(measured.comparisons, measured.report)

    def encoder(self, name: str | None = None, *, stage: str | None = None, device: Device = "cpu") -> TrainedEncoder:
        """The trained encoder `name` (default: the one that the first objective trains) as a module.

        Raises TrainingFault: M3I0755 no checkpoint yet, M3I0760 no such encoder.
        """
        from m3i_dsl.evaluation.trained_encoder import TrainedEncoder
        from m3i_dsl.evaluation.trained_run import built_encoder, measured_encoder, view_of
        from m3i_dsl.front.opening import opened, run_folder_of

        trained = opened(run_folder_of(self.path, stage), device)
        chosen = measured_encoder(trained.program, name)
        module = built_encoder(trained.executable, chosen)
        shape = trained.program.encoders[chosen].image.shape()
        return TrainedEncoder(module, shape, view_of(trained.program, chosen)).to(trained.device)

    def export(
        self,
        folder: str | Path | None = None,
        *,
        format: Literal["timm"] = "timm",
        stage: str | None = None,
        encoder: str | None = None,
        force: bool = False,
    ) -> Path:
        """Writes the encoder as a folder that timm loads, after timm has loaded it with the same features.

        Default: `RUN/timm-ENCODER`. Raises TrainingFault (M3I0761 timm does not have it, M3I0762 something is there)
        and OSError.
        """
        from m3i_dsl.front.exporting import export
        from m3i_dsl.front.opening import run_folder_of

        target = None if folder is None else Path(folder)
        run = run_folder_of(self.path, stage)
        return export(run, target, format=format, encoder=encoder, force=force, device="cpu").folder

    def __repr__(self) -> str:
        return f"<run {self.path} of {self.recipe}>"


def run(path: str | Path) -> Run:
    """The run in a folder. Raises TrainingFault (M3I0707) when none is there."""
    return Run(path)
