"""Weights & Biases.

Takes: the description of a run. Gives: a run of the same name in the project `m3ic`, or in that of WANDB_PROJECT;
WANDB_ENTITY, WANDB_MODE and the login are wandb's own. Guarantees: a resumed run goes on under its id; steps are an
axis of their own, for wandb drops what is logged at an earlier step than the last, which resuming does.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Mapping
from typing import Any

from m3i_dsl.runtime.reporting.sinks.model import Description, Sink, Status

PROJECT = "m3ic"


class _Wandb:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "training step": step})

    def finish(self, status: Status) -> None:
        self._run.finish(exit_code=1 if status == "failed" else 0)


def start(description: Description) -> Sink:
    """Raises whatever `wandb.init` raises, such as when nobody is logged in."""
    wandb: Any = importlib.import_module("wandb")
    identity = description.identity("wandb")
    if identity is None:
        # Chosen here and kept first: whenever the process dies, the next one continues the same run.
        identity = secrets.token_hex(4)
        description.keep_identity("wandb", identity)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        id=identity,
        resume="allow",
        name=description.name,
        group=description.recipe,
        dir=str(description.folder),
        config=dict(description.configuration),
        allow_val_change=True,
    )
    run.define_metric("training step")
    run.define_metric("*", step_metric="training step")
    return _Wandb(run)
