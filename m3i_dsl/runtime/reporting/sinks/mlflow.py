"""MLflow.

Takes: the description of a run. Gives: a run of the same name in the experiment `m3ic`, or in that of
MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID; where it is kept is MLflow's own (MLFLOW_TRACKING_URI). Guarantees: a
resumed run goes on under its id. All calls must come from one thread: MLflow's active run belongs to a thread.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from m3i_dsl.runtime.reporting.sinks.model import Description, Sink, Status

EXPERIMENT = "m3ic"

_STATUS: Mapping[Status, str] = {
    "finished": "FINISHED",
    "partial": "FINISHED",
    "stopped": "KILLED",
    "failed": "FAILED",
}


class _Mlflow:
    def __init__(self, mlflow: Any) -> None:
        self._mlflow = mlflow

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def finish(self, status: Status) -> None:
        self._mlflow.end_run(status=_STATUS[status])


def start(description: Description) -> Sink:
    """Raises whatever MLflow raises, such as when its server does not answer."""
    mlflow: Any = importlib.import_module("mlflow")
    if not (os.environ.get("MLFLOW_EXPERIMENT_NAME") or os.environ.get("MLFLOW_EXPERIMENT_ID")):
        mlflow.set_experiment(EXPERIMENT)
    identity = description.identity("mlflow")
    run = mlflow.start_run(run_id=identity, run_name=None if identity else description.name)
    if identity is None:
        description.keep_identity("mlflow", str(run.info.run_id))
        mlflow.log_params({key: str(value) for key, value in description.configuration.items()})
    return _Mlflow(mlflow)
