"""Checkpoint round trip: a run that was stopped goes on with the same bits.

Two steps, a checkpoint written by the runtime and read back into a module with other weights, a third step of both:
loss, weights, averages, buffers and the optimizer's moments must be equal to the bit.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from m3i_dsl.runtime.checkpoints.named import optimizer_tensors
from m3i_dsl.runtime.checkpoints.snapshot import Snapshot
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.distributed.wrapping import alone
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.guard import Guard
from m3i_dsl.runtime.precision import Precision
from m3i_dsl.runtime.run_folder import RunIdentity
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import LearningRate
from m3i_dsl.runtime.step import TrainingStep
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, Property
from m3i_dsl.vocabulary.values import steps_of

DONE, TOTAL = 2, 10
_CPU = torch.device("cpu")


class _Run:
    """What a run carries, made as the trainer makes it."""

    def __init__(self, case: Case, *, moved: bool) -> None:
        executable = case.copy(torch.float32, moved=moved)
        training = case.program.training
        self.module = executable.module
        self.inputs = {input_.name for input_ in executable.inputs}
        self.optimizer = training.optimizer.word.build(self.module, training.batch)
        precision = Precision("fp32", _CPU)
        duration = partial(steps_of, steps_per_epoch=TOTAL, batch=training.batch, total=TOTAL)
        self.step = TrainingStep(
            alone(self.module, _CPU),
            self.optimizer,
            MovingAverages(executable.averages, TOTAL, duration),
            LearningRate(0, TOTAL, training.schedule.word),
            Guard(self.module, _CPU, deferred=False),
            precision,
            scalars=Scalars(self.module, TOTAL, duration),
            clip=training.clip,
            decay=training.optimizer.word.decay_ramp(),
            microbatches=1,
        )
        self.snapshot = Snapshot(self.module, self.optimizer, RunIdentity("tiny", "0" * 64, {}), _CPU, precision)

    def advance(self, case: Case, number: int) -> float:
        batch = case.batch(number, torch.float32)
        return float(self.step(number, {name: value for name, value in batch.items() if name in self.inputs}).loss)


def _check(case: Case) -> str:
    with (
        _random_numbers_kept(case.seed),
        tempfile.TemporaryDirectory() as folder,
        CheckpointStore(Path(folder)) as store,
    ):
        run = _Run(case, moved=False)
        for number in range(DONE):
            run.advance(case, number)
        store.save(DONE, run.snapshot.files(DONE, metrics_bytes=0, evaluations_due=False))
        loss = run.advance(case, DONE)
        checkpoint, _ = store.newest()
        assert checkpoint is not None
        other = _Run(case, moved=True)
        other.snapshot.restore(checkpoint)
        _require_equal("the loss", torch.tensor(other.advance(case, DONE)), torch.tensor(loss))
    ours, theirs = run.module.state_dict(), other.module.state_dict()
    for name, value in ours.items():
        _require_equal(f"`{name}`", theirs[name], value)
    moments = optimizer_tensors(run.module, run.optimizer)[0], optimizer_tensors(other.module, other.optimizer)[0]
    for name, value in moments[0].items():
        _require_equal(f"`{name}` of the optimizer", moments[1][name], value)
    return f"{len(ours)} tensors and {len(moments[0])} moments equal after step {DONE + 1}"


def _require_equal(what: str, measured: torch.Tensor, expected: torch.Tensor) -> None:
    if not torch.equal(measured, expected):
        difference = float((measured.double() - expected.double()).abs().max())
        raise Failed(
            f"after a checkpoint, {what} of step {DONE + 1} differs by {difference:.3g}: something is not saved"
        )


@contextmanager
def _random_numbers_kept(seed: int) -> Generator[None]:
    """A restored checkpoint brings random numbers along; the caller's are put back."""
    theirs = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(theirs[0])
        np.random.set_state(theirs[1])
        random.setstate(theirs[2])


CHECKPOINT = Property("checkpoint", "a run that goes on from a checkpoint computes the same bits", _check)
