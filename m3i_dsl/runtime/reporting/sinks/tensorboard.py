"""TensorBoard: event files in `<run>/tensorboard`.

Takes: the description of a run. Gives: its scalars in TensorBoard. Guarantees: what was written after the checkpoint
that a run goes on from is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from m3i_dsl.runtime.reporting.sinks.model import Description, Sink, Status


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def finish(self, status: Status) -> None:
        self._writer.close()


def start(description: Description) -> Sink:
    """Opens a new event file."""
    from torch.utils.tensorboard import SummaryWriter

    first = description.first_step
    return _TensorBoard(SummaryWriter(str(description.folder / "tensorboard"), purge_step=first + 1 if first else None))
